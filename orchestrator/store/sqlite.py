"""SQLite's own ways: the file, its checks, and how each connection is set up."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import regex
import sqlalchemy as sa

from orchestrator.errors import StoreUnavailable

_MAGIC = b"SQLite format 3\x00"
_BUSY = 15_000  # milliseconds to wait for another process's transaction
_PATTERN_SECONDS = 1.0
_WHOLE_CHECK = 256 * 1024 * 1024  # bytes; checking a larger file would hold up the start

_SETUP = (
    f"PRAGMA busy_timeout = {_BUSY}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit answered is on the disk
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -16384",
)


def check_file(file: Path, *, may_make: bool) -> None:
    """Make the file if it may be made. Raises StoreUnavailable when it is missing, no file, not SQLite, or may not be written."""
    if not file.parent.is_dir():
        raise StoreUnavailable(f"The database {file} cannot be made: its folder does not exist; make it, or name another one.")
    if not file.exists():
        if not may_make:
            raise StoreUnavailable(f"The database {file} does not exist; start the server once, which makes it.")
        _open(file, os.O_CREAT | os.O_RDWR)
    if not file.is_file():
        raise StoreUnavailable(f"The database {file} is not a file; name another one.")
    _open(file, os.O_RDWR)
    _check_folder(file)
    _check_head(file)


def _open(file: Path, flags: int) -> None:
    try:
        os.close(os.open(file, flags | os.O_CLOEXEC, 0o600))
    except OSError as err:
        raise StoreUnavailable(f"The database {file} cannot be written ({err.strerror}); make the file and its folder writable for this user.") from err


def _check_folder(file: Path) -> None:
    """SQLite keeps its journal beside the file, so the folder must be writable too (asked as the effective user)."""
    if not os.access(file.parent, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise StoreUnavailable(f"The database {file} cannot be written: its folder is read-only; make the folder writable for this user.")


def _check_head(file: Path) -> None:
    with file.open("rb") as opened:
        head = opened.read(len(_MAGIC))
    if head and head != _MAGIC:
        raise StoreUnavailable(f"The file {file} is not an SQLite database; name another file, or move this one away.")


def check_content(file: Path) -> None:
    """Look the whole file through, if it is not too large. Raises StoreUnavailable when it is damaged."""
    if not 0 < file.stat().st_size <= _WHOLE_CHECK:
        return
    connection = sqlite3.connect(file)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
        said = [row[0] for row in connection.execute("PRAGMA quick_check(1)")]
    except sqlite3.DatabaseError as err:
        said = [str(err)]
    finally:
        connection.close()
    if said != ["ok"]:
        remedy = "move it away and put a backup (or the newest copy beside it, .bak-...) in its place"
        raise StoreUnavailable(f"The database {file} is damaged; {remedy} ({' '.join(said[0].split())}).")


def engine(file: Path, *, begin: str, writes: bool) -> sa.Engine:
    """An engine whose transactions begin with `begin`; connections are made as needed and may pass between threads."""
    made = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),
        connect_args={"check_same_thread": False, "timeout": _BUSY / 1000},
        pool_size=8,
        max_overflow=-1,
        hide_parameters=True,
    )

    @sa.event.listens_for(made, "connect")
    def _set_up(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        for pragma in _SETUP:
            connection.execute(pragma)
        connection.create_function("regexp", 2, _matches)
        if not writes:
            connection.execute("PRAGMA query_only = ON")

    @sa.event.listens_for(made, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


def _matches(pattern: str, text: Any) -> bool:
    """SQL's REGEXP. A pattern that would take for ever raises TimeoutError, which ends the search."""
    return text is not None and regex.search(pattern, str(text), timeout=_PATTERN_SECONDS) is not None
