"""SQLite's own ways: the file, its checks, and how each connection is set up."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from threading import Lock
from typing import Any

import regex
import sqlalchemy as sa

from orchestrator.errors import StoreUnavailable

_BUSY = 15_000  # milliseconds to wait for another process's transaction
_PATTERN_SECONDS = 1.0
_WHOLE_CHECK = 256 * 1024 * 1024  # bytes; checking a larger file would hold up the start

_MAKING = Lock()

_SETUP = (
    f"PRAGMA busy_timeout = {_BUSY}",
    "PRAGMA synchronous = FULL",  # a commit answered is on the disk
    "PRAGMA foreign_keys = ON",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -16384",
)


def check_file(file: Path, *, may_make: bool) -> None:
    """Make the file if it may be made. Raises StoreUnavailable when it is missing, no file, or may not be written.

    The file is never opened here once it exists: closing it would drop the locks that SQLite holds on it for this process.
    """
    if not file.parent.is_dir():
        raise StoreUnavailable(f"The database {file} cannot be made: its folder does not exist; make it, or name another one.")
    with _MAKING:
        if not file.exists():
            _make(file, may_make)
    if not file.is_file():
        raise StoreUnavailable(f"The database {file} is not a file; name another one.")
    if not (_may(file, os.W_OK | os.R_OK) and _may(file.parent, os.W_OK | os.X_OK)):  # the journal lies beside the file
        raise StoreUnavailable(f"The database {file} cannot be written; make the file and its folder writable for this user.")


def _make(file: Path, may_make: bool) -> None:
    if not may_make:
        raise StoreUnavailable(f"The database {file} does not exist; start the server once, which makes it.")
    try:
        os.close(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as err:
        raise StoreUnavailable(f"The database {file} cannot be made ({err.strerror}); make its folder writable for this user.") from err


def _may(path: Path, what: int) -> bool:
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def check_content(file: Path, *, whole: bool) -> None:
    """Look at the head of the file, or through the `whole` of it if it is not too large. Raises what SQLite raises."""
    connection = sqlite3.connect(file)
    try:
        connection.execute(f"PRAGMA busy_timeout = {_BUSY}")
        connection.execute("PRAGMA schema_version").fetchone()
        if whole and file.stat().st_size <= _WHOLE_CHECK:
            said = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if said != "ok":
                raise sqlite3.DatabaseError(f"database disk image is malformed: {said}")
    finally:
        connection.close()


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


def keep_journal(writer: sa.Engine) -> None:
    """Have readers and the writer not wait for each other. The file remembers it."""
    with writer.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute("PRAGMA journal_mode = WAL")


def _matches(pattern: str, text: Any) -> bool:
    """SQL's REGEXP. A pattern that would take for ever raises TimeoutError, which ends the search."""
    return text is not None and regex.search(pattern, str(text), timeout=_PATTERN_SECONDS) is not None
