"""Rows of a file, one after the other, forwards and backwards, without holding the file."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from orchestrator.sdk import RunContext, TaskFailed

BLOCK = 1 << 20
_SIZE = re.compile(r"(\d+)\s*([kmgt]?)i?b?", re.IGNORECASE)


def rows(file: BinaryIO, separator: bytes, least: int = BLOCK) -> Iterator[bytes]:
    """Every row without its separator; the end of the file ends the last row. `least` bytes are read at a time."""
    rest, block = b"", least
    while data := file.read(block):
        *found, rest = (rest + data).split(separator)
        block = least if found else block * 2  # so that one long row is not copied over and over
        yield from found
    if rest:
        yield rest


def rows_backwards(file: BinaryIO, separator: bytes, least: int = BLOCK) -> Iterator[bytes]:
    """As `rows`, the last one first. The file must be one that can seek."""
    at, rest, block, last = file.seek(0, os.SEEK_END), b"", least, True
    empty = at == 0
    while at > 0:
        start = max(0, at - block)
        file.seek(start)
        rest, *found = (file.read(at - start) + rest).split(separator)
        if last and found:
            last = False
            found = found if found[-1] else found[:-1]
        at, block = start, least if found else block * 2
        yield from reversed(found)
    if not empty:
        yield rest


def checked(ctx: RunContext, found: Iterator[bytes], every: int = 10_000) -> Iterator[bytes]:
    """The same rows. Raises TaskFailed when the run is told to stop meanwhile."""
    for number, row in enumerate(found):
        if number % every == 0 and ctx.cancelled():
            raise TaskFailed("stopped")
        yield row


@contextmanager
def folder_of(ctx: RunContext) -> Iterator[Path]:
    """A folder within the working directory for files in between; it goes at the end."""
    with tempfile.TemporaryDirectory(dir=ctx.working_dir(), prefix=".between-") as folder:
        yield Path(folder)


def name_of(uri: str, default: str = "file") -> str:
    """The file's name that a URI ends with."""
    return PurePosixPath(uri).name or default


def byte_size(text: str) -> int:
    """The number of bytes that `512`, `10KB` or `1MB` means; a kilobyte has 1024. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise ValueError(f"`{text}` is not a size such as 10KB or 1MB")
    return int(found[1]) << (10 * " kmgt".index(found[2].lower() or " "))
