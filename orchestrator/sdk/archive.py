"""Files on their way to a job and back from it, as pax tars: modes, times, empty folders and odd names survive."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

IN_MEMORY = 8 << 20  # bytes of a tar kept in memory before it goes to disk


@dataclass(frozen=True)
class Owner:
    """Whom the files are for: root; a user known by number; or one known by name alone, for whom they are opened to all."""

    uid: int = 0
    gid: int = 0
    named: bool = False

    @classmethod
    def of(cls, user: str) -> Owner:
        """From an engine's `user[:group]`."""
        name, _, group = user.partition(":")
        if name in {"", "root", "0"}:
            return cls()
        return cls(uid=int(name), gid=int(group) if group.isdigit() else 0) if name.isdigit() else cls(named=True)

    def own(self, info: tarfile.TarInfo) -> tarfile.TarInfo:
        """The entry as this owner can use it."""
        info.uid, info.gid, info.uname, info.gname = self.uid, self.gid, "", ""
        if self.named:
            info.mode |= 0o777 if info.isdir() or info.mode & 0o100 else 0o666
        return info


def is_to_be_packed(folder: Path, owner: Owner) -> bool:
    """Whether there is anything that an empty folder of root, as an engine makes it, would not be."""
    return owner != Owner() or any(folder.iterdir())


def packed(folder: Path, inside: str, owner: Owner, *, leave_out: str | None, more: Mapping[str, str] | None = None) -> BinaryIO:
    """A tar of a folder's content that unpacks at `/` to the path `inside` (where it stands, when that is empty); of `leave_out`
    only the folder itself. `more` are further files, by name, for the owner's eyes alone."""
    spool = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as tar:
        target = PurePosixPath(inside.lstrip("/"))
        for parent in reversed(list(target.parents)[:-1]):
            tar.addfile(_folder(str(parent)))
        tar.addfile(owner.own(_folder(str(target))))
        for path in _below(folder, leave_out):
            tar.add(path, str(target / path.relative_to(folder).as_posix()), recursive=False, filter=owner.own)
        for name, text in (more or {}).items():
            content = text.encode()
            tar.addfile(owner.own(_file(str(target / name), len(content))), io.BytesIO(content))
    spool.seek(0)
    return cast(BinaryIO, spool)


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = tarfile.DIRTYPE, 0o755, int(time.time())
    return info


def _file(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o600, int(time.time())
    return info


def _below(folder: Path, leave_out: str | None) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        here = Path(root)
        if leave_out is not None and here == folder / leave_out:
            folders.clear()
            continue
        yield from (here / name for name in sorted((*folders, *names)))
        folders.sort()


class _Chunks(RawIOBase):
    """Chunks of bytes as a file to read from."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = [self._rest]
        length = len(self._rest)
        while length < size and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            length += len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]


def unpack(chunks: Iterator[bytes], beside: PurePosixPath, folder: Path, wanted: Callable[[str], bool]) -> None:
    """Put the wanted files of a tar into a folder; its members stand at `beside` within it.

    Folders and regular files come, and links that stay within the folder; nothing else, and nothing outside it.
    """
    with tarfile.open(fileobj=cast(BinaryIO, _Chunks(chunks)), mode="r|") as tar:
        for member in tar:
            name = (beside / member.name).as_posix()
            if wanted(name) and (member.isreg() or member.issym()) and _is_within(folder, name):
                member.name = name
                _extract(tar, member, folder)


def _is_within(folder: Path, name: str) -> bool:
    parent = (folder / name).parent
    return ".." not in PurePosixPath(name).parts and not name.startswith("/") and parent.resolve().is_relative_to(folder.resolve())


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if member.issym():
        if (target.parent / member.linkname).resolve().is_relative_to(folder.resolve()):
            target.unlink(missing_ok=True)
            target.symlink_to(member.linkname)
        return
    source = tar.extractfile(member)
    if source is None:
        return
    target.unlink(missing_ok=True)
    with source, target.open("xb") as out:
        while chunk := source.read(1 << 18):
            out.write(chunk)
    target.chmod(member.mode & 0o777)
