"""DuckDB over its own library. Imported where a connection is made, and in no other place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import duckdb
from sqlalchemy.dialects import registry
from sqlalchemy.engine.default import DefaultDialect

from orchestrator_plugins.jdbc import client  # noqa: F401 - loaded once with it for all that are forked
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.statements import Dialect

registry.register("duckdb.plain", __name__, "PlainDialect")


class PlainDialect(DefaultDialect):
    """What SQLAlchemy must know to pass statements on as they are."""

    name = "duckdb"
    driver = "plain"
    default_paramstyle = "qmark"
    supports_statement_cache = False

    @classmethod
    def import_dbapi(cls) -> Any:
        return duckdb

    def set_isolation_level(self, dbapi_connection: Any, level: str) -> None:
        """It commits each statement by itself until it is told to begin."""


class Duck(Driver):
    """One file, or `:memory:`. Files that the SQL names without a folder are those of `folder`."""

    kind: ClassVar[str] = "DuckDB"
    url: ClassVar[str] = "duckdb+plain://"
    dialect: ClassVar[Dialect] = Dialect(dollars=True, escape_strings=True)
    begins_steadily: ClassVar[tuple[str, ...]] = ("BEGIN",)  # it reads one snapshot anyway

    def __init__(self, path: str, folder: Path, zone: str) -> None:
        self._path, self._folder, self._zone = path, folder, zone

    def connect(self) -> Connection:
        raw = duckdb.connect(self._path)
        raw.execute("SET TimeZone = ?", [self._zone])
        raw.execute("SET file_search_path = ?", [str(self._folder)])
        return Connection(raw)

    def interrupt(self, connection: Connection) -> None:
        connection.raw.interrupt()

    def place(self) -> str:
        return f"database '{self._path}'"


class Connection:
    """A connection as the DBAPI has it: DuckDB's own cursors are connections with a transaction each."""

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self.raw = raw

    def cursor(self) -> Cursor:
        return Cursor(self.raw)

    def commit(self) -> None:
        """Told as SQL."""

    def rollback(self) -> None:
        """Without a commit it is undone at the end."""

    def close(self) -> None:
        self.raw.close()


class Cursor:
    """Rows of a statement; none for one that only tells how many rows it changed. Columns of JSON are read."""

    rowcount = -1
    arraysize = 1

    def __init__(self, raw: duckdb.DuckDBPyConnection) -> None:
        self._raw = raw
        self.description: Sequence[Any] | None = None
        self._readers: Sequence[int] = ()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        (statement,) = duckdb.extract_statements(sql)
        self._raw.execute(statement, list(parameters))
        found = self._raw.description
        gives = duckdb.ExpectedResultType.QUERY_RESULT in statement.expected_result_type
        counts = duckdb.ExpectedResultType.CHANGED_ROWS in statement.expected_result_type and [one[0] for one in found or ()] == ["Count"]
        self.description = found if gives and not counts else None
        self._readers = [at for at, one in enumerate(found or ()) if str(one[1]) == "JSON"]

    def fetchone(self) -> Any:
        row = self._raw.fetchone()
        return row and self._read(row)

    def fetchmany(self, size: int = 1) -> list[Any]:
        return list(map(self._read, self._raw.fetchmany(size)))

    def fetchall(self) -> list[Any]:
        return list(map(self._read, self._raw.fetchall()))

    def _read(self, row: Any) -> Any:
        if not self._readers:
            return row
        read: Callable[[Any], Any] = json.loads
        return tuple(read(value) if at in self._readers and value is not None else value for at, value in enumerate(row))

    def close(self) -> None:
        """Its connection stays."""
