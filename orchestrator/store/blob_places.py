"""Where the bytes of files lie: a folder of the server's machine, or a bucket by its URL."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from orchestrator.errors import BadSettings, NotFound, StoreUnavailable

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}  # by scheme: the extra of ours that brings its library
GONE = "the file's content is gone"


class BlobPlace(Protocol):
    """Keeps blobs under names that hold nothing of a user's text."""

    def take(self, draft: Path, name: str) -> None:
        """Make a local file's bytes a blob, durably, whole or not at all. Raises StoreUnavailable."""

    def open(self, name: str) -> BinaryIO:
        """The bytes, for reading from any position. Raises NotFound, StoreUnavailable."""

    def remove(self, name: str) -> None:
        """Forget a blob; one that is gone is success. Raises StoreUnavailable."""


class Folder:
    """Blobs as files below one folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def take(self, draft: Path, name: str) -> None:
        target = self._root / name
        try:
            target.parent.mkdir(exist_ok=True)
            draft.replace(target)
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as err:
            raise StoreUnavailable(f"a file cannot be written: {err.strerror}") from err

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._root / name).open("rb")
        except FileNotFoundError as err:
            raise NotFound(GONE) from err

    def remove(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)


class Bucket:
    """Blobs as objects below a URL such as `s3://bucket/prefix`, over fsspec."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        """Raises BadSettings for a URL that nothing installed understands."""
        import fsspec  # type: ignore[import-untyped]

        # Not gcsfs's own choice, which asks what kind of bucket it is, by gRPC: another right, and a minute of waiting where only HTTP gets through.
        for scheme in ("gs", "gcs"):
            fsspec.register_implementation(scheme, "gcsfs.core.GCSFileSystem", clobber=True)
        scheme, found, _ = url.partition("://")
        try:
            self._files, self._root = fsspec.core.url_to_fs(url, **options)
        except ImportError as err:
            extra = EXTRAS.get(scheme)
            remedy = f": pip install 'orchestrator[{extra}]'" if extra else ""
            raise BadSettings(f"the storage {scheme}:// needs a package that is not installed{remedy}") from err
        except (ValueError, TypeError) as err:
            raise BadSettings(f"`{url}` is not a storage's URL; write s3://bucket/prefix, gs://bucket/prefix or the path of a folder: {err}") from err
        self._where = f"{scheme}://{self._root}" if found else self._root

    def check(self) -> None:
        """See that a file can be kept, read and removed. Raises BadSettings with the service's words."""
        name = f"{self._root}/probe-{secrets.token_hex(8)}"
        try:
            self._files.pipe_file(name, b"probe")
            found = self._files.cat_file(name)
            self._files.rm_file(name)
        except Exception as err:
            raise BadSettings(f"the storage {self._where} cannot be used: {_words(err)}") from err
        if found != b"probe":
            raise BadSettings(f"the storage {self._where} does not give back what it is given")

    def take(self, draft: Path, name: str) -> None:
        with self._asking():
            self._files.put_file(str(draft), f"{self._root}/{name}")
        draft.unlink(missing_ok=True)

    def open(self, name: str) -> BinaryIO:
        with self._asking():
            return cast(BinaryIO, self._files.open(f"{self._root}/{name}", "rb"))

    def remove(self, name: str) -> None:
        try:
            with self._asking():
                self._files.rm_file(f"{self._root}/{name}")
        except NotFound:
            return

    @contextmanager
    def _asking(self) -> Any:
        """The libraries raise what they like."""
        try:
            yield
        except FileNotFoundError as err:
            raise NotFound(GONE) from err
        except Exception as err:
            raise StoreUnavailable(f"the storage {self._where} cannot be used: {_words(err)}") from err


def _words(err: BaseException) -> str:
    return " ".join(str(err).split()) or type(err).__name__
