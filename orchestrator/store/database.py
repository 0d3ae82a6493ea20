"""The store over SQL: SQLite and PostgreSQL are two URLs of this one implementation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from orchestrator.errors import Fenced
from orchestrator.store import queries, rows, schema
from orchestrator.store.port import Changes
from orchestrator.store.reading import DatabaseReader
from orchestrator.store.saving import LabelMemory, forgetting, storing
from orchestrator.store.statements import Run, Statements
from orchestrator.store.trouble import telling


class DatabaseStore(DatabaseReader):
    """StateStore over two engines of one database: `writer` begins transactions that lock out other writers at once.

    Reads may come from any thread; commits are taken one after the other.
    """

    def __init__(self, reader: sa.Engine, writer: sa.Engine, where: str) -> None:
        super().__init__(reader, where)
        self._writer = writer
        self._sql = Statements(writer.dialect)
        self._driver_error: type[Exception] = writer.dialect.loaded_dbapi.Error
        self._epoch: int | None = None
        self._labels = LabelMemory()
        self._connection: sa.Connection | None = None  # kept from turn to turn
        self._turn = Lock()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """One transaction on the connection kept for it; a connection that failed is not used again."""
        with telling(self._where), self._turn:
            if self._connection is None:
                self._connection = self._writer.connect()
            try:
                with self._connection.begin():
                    yield self._connection
            except (sa.exc.DBAPIError, self._driver_error):
                self._connection.invalidate()
                self._connection.close()
                self._connection = None
                raise

    def take_ownership(self, owner: str, now: datetime) -> int:
        c = schema.owner.c
        raised = sa.update(schema.owner).values(epoch=c.epoch + 1, name=owner, since=rows.micros(now)).returning(c.epoch)
        with self._writing() as connection:
            epoch: int = connection.execute(raised).scalar_one()
        self._epoch, self._labels = epoch, LabelMemory()
        return epoch

    def commit(self, changes: Changes) -> None:
        labels = self._labels.changed(changes.executions, changes.executions_gone)
        executions = [rows.execution_row(e) for e in changes.executions]
        gone = [run for run in forgetting(self._sql, changes) if run[1]]
        runs = [run for run in storing(self._sql, changes, labels) if run[1]]
        with self._writing() as connection:
            for which in changes.logs_gone:
                connection.execute(schema.logs.delete().where(queries.lines(which)))
            cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy's way to it costs more than the work
            self._check_owner(cursor)
            self._run(cursor, gone)
            if executions:
                self._save(cursor, executions)
            self._run(cursor, runs)
        self._labels.learn(labels, changes.executions_gone)

    def _run(self, cursor: DBAPICursor, runs: Sequence[Run]) -> None:
        for statement, values in runs:
            if len(values) == 1:
                cursor.execute(statement, values[0])
            else:
                cursor.executemany(statement, values)

    def _check_owner(self, cursor: DBAPICursor) -> None:
        cursor.execute(self._sql.epoch)
        (stored,) = cursor.fetchone() or (None,)
        if self._epoch is None or stored != self._epoch:
            raise Fenced(f"The database {self._where} belongs to another executor now (epoch {stored}, this one had {self._epoch}); this one must end.")

    def _save(self, cursor: DBAPICursor, executions: list[rows.Row]) -> None:
        self._run(cursor, [(self._sql.executions, executions)])
        if cursor.rowcount != len(executions):
            ids = ", ".join(row[0] for row in executions[:20])
            raise Fenced(f"Not every version follows the stored one among the executions {ids}: another executor saved in between; this one must end.")

    def close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self._writer.dispose()
        self._engine.dispose()
