"""The store over SQL: SQLite and PostgreSQL are two URLs of this one implementation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Lock

import sqlalchemy as sa

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
        self._epoch: int | None = None
        self._labels = LabelMemory()
        self._connection: sa.Connection | None = None  # kept from turn to turn
        self._turn = Lock()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with telling(self._where), self._turn:
            if self._connection is None:
                self._connection = self._writer.connect().execution_options(preserve_rowcount=True)
            with self._connection.begin():
                yield self._connection

    def take_ownership(self, owner: str, now: datetime) -> int:
        c = schema.owner.c
        raised = sa.update(schema.owner).values(epoch=c.epoch + 1, name=owner, since=rows.micros(now)).returning(c.epoch)
        with self._writing() as connection:
            epoch: int = connection.execute(raised).scalar_one()
        self._epoch, self._labels = epoch, LabelMemory()
        return epoch

    def commit(self, changes: Changes) -> None:
        labels = self._labels.changed(changes.executions)
        executions = [rows.execution_row(e) for e in changes.executions]
        runs: list[Run] = [run for run in storing(self._sql, changes, labels) if run[1]]
        with self._writing() as connection:
            self._check_owner(connection)
            self._forget(connection, changes)
            if executions:
                self._save(connection, executions)
            for statement, values in runs:
                connection.exec_driver_sql(statement, values)
        self._labels.learn(labels, changes.executions_gone)

    def _check_owner(self, connection: sa.Connection) -> None:
        stored = connection.exec_driver_sql(self._sql.epoch).scalar()
        if self._epoch is None or stored != self._epoch:
            raise Fenced(f"The database {self._where} belongs to another executor now (epoch {stored}, this one had {self._epoch}); this one must end.")

    def _forget(self, connection: sa.Connection, changes: Changes) -> None:
        for statement, values in forgetting(self._sql, changes):
            if values:
                connection.exec_driver_sql(statement, values)
        for which in changes.logs_gone:
            connection.execute(schema.logs.delete().where(queries.lines(which)))

    def _save(self, connection: sa.Connection, executions: list[rows.Row]) -> None:
        saved = connection.exec_driver_sql(self._sql.executions, executions).rowcount
        if saved != len(executions):
            ids = ", ".join(row[0] for row in executions[:20])
            raise Fenced(f"Not every version follows the stored one among the executions {ids}: another executor saved in between; this one must end.")

    def close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        self._writer.dispose()
        self._engine.dispose()
