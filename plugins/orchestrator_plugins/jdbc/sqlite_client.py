"""SQLite over Python's own module."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from orchestrator_plugins.jdbc import client  # noqa: F401 - loaded once with it for all that are forked
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.statements import Dialect


class Sqlite3(Driver):
    """One file, or `:memory:`. Rows come one by one by themselves: no cursor of a server is needed."""

    kind: ClassVar[str] = "SQLite"
    url: ClassVar[str] = "sqlite://"
    dialect: ClassVar[Dialect] = Dialect(identifiers="`[")
    begins_steadily: ClassVar[tuple[str, ...]] = ("BEGIN IMMEDIATE",)

    def __init__(self, path: str) -> None:
        self._path = path

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)  # a stop comes from another thread

    def interrupt(self, connection: sqlite3.Connection) -> None:
        connection.interrupt()

    def place(self) -> str:
        return f"database '{self._path}'"
