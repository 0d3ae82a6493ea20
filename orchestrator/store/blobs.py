"""The bytes of files; who they belong to is the store's to know."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from orchestrator.errors import NotFound, StoreUnavailable
from orchestrator.model.values import Json
from orchestrator.store.blob_places import BlobPlace, Bucket, Folder

CHUNK = 1 << 20  # bytes


class Draft:
    """A blob being written. Nobody sees it before `keep`; what is not kept is gone when the block ends."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self.id = secrets.token_hex(16)
        self.size = 0
        self._path = blobs.drafts / self.id
        self._file: BinaryIO | None = self._path.open("xb")

    def write(self, data: bytes) -> None:
        """Add bytes. Raises StoreUnavailable when they cannot be kept."""
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as err:
            raise StoreUnavailable(f"a file cannot be written: {err.strerror}") from err
        self.size += len(data)

    def keep(self) -> tuple[str, int]:
        """Make it durable and visible; its id and its size in bytes."""
        assert self._file is not None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None
        except OSError as err:
            raise StoreUnavailable(f"a file cannot be written: {err.strerror}") from err
        self._blobs.take(self._path, self.id)
        return self.id, self.size

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()
        self._path.unlink(missing_ok=True)


class Blobs:
    """Blobs by random ids: no text of a user ever becomes a path or an object's name."""

    def __init__(self, root: Path, place: BlobPlace | None = None) -> None:
        """`root` is a folder of this machine for what is being written; blobs lie there too, unless `place` is elsewhere."""
        self._place = place or Folder(root)
        self.drafts = root / "drafts"
        self.drafts.mkdir(parents=True, exist_ok=True)

    def draft(self) -> Draft:
        """A new blob to write to, as a context manager."""
        return Draft(self)

    def write(self, stream: BinaryIO) -> tuple[str, int]:
        """Keep all bytes of a stream: the blob's id and its size. Whole or not at all."""
        with self.draft() as draft:
            while data := stream.read(CHUNK):
                draft.write(data)
            return draft.keep()

    def open(self, blob: str) -> BinaryIO:
        """The bytes, for reading. Raises NotFound when there are none, StoreUnavailable."""
        return self._place.open(_name(blob))

    def remove(self, blob: str) -> None:
        """Forget the bytes. A blob already gone is success. Raises StoreUnavailable."""
        self._place.remove(_name(blob))

    def take(self, draft: Path, blob: str) -> None:
        """Give a finished draft its place. Raises StoreUnavailable."""
        self._place.take(draft, _name(blob))


def open_blobs(data: Path, storage: str | None, options: Mapping[str, Json], *, check: bool = False) -> Blobs:
    """The blobs of a server with this data folder: in `storage` (a URL, or the path of a folder), else in the data folder itself.

    With `check` a bucket is tried. Raises BadSettings when it cannot be used."""
    if storage is None or "://" not in storage:
        return Blobs(Path(storage).absolute() if storage else data / "storage")
    bucket = Bucket(storage, options)
    if check:
        bucket.check()
    return Blobs(data / "storage", bucket)


def _name(blob: str) -> str:
    """Where a blob lies. Raises NotFound for an id of another shape."""
    if not (len(blob) == 32 and blob.isalnum() and blob.isascii()):
        raise NotFound(f"no blob {blob!r}")
    return f"{blob[:2]}/{blob}"
