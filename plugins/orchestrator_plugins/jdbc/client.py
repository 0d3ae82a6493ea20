"""A connection to a database for one run, over SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

import sqlalchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from orchestrator.sdk import RunContext, TaskFailed
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.statements import Statement


class Rows:
    """What a statement gives: the names of its columns, and its rows, to be gone through once."""

    def __init__(self, session: Session, result: sqlalchemy.CursorResult[Any], size: int) -> None:
        self.names: Sequence[str] = list(result.keys())
        self._session, self._result, self._size = session, result, size

    def __iter__(self) -> Iterator[Sequence[Any]]:
        with self._session.speaking():
            for part in self._result.partitions(self._size):
                yield from part

    def first(self) -> Sequence[Any] | None:
        with self._session.speaking():
            return self._result.first()


class Session:
    """An open connection. Each statement is its own transaction until `begin`; a stop of the run ends what it is at."""

    def __init__(self, driver: Driver, ctx: RunContext) -> None:
        self._driver, self._ctx = driver, ctx
        self._raw: Any = None
        engine = sqlalchemy.create_engine(driver.url, creator=self._connect, poolclass=NullPool, isolation_level="AUTOCOMMIT", **driver.engine)
        engine.dialect.initialize = _nothing  # type: ignore[method-assign]  # it asks for what only statements that SQLAlchemy itself makes depend on
        self._style = engine.dialect.paramstyle
        ctx.on_stop(self._interrupt)
        try:
            self._connection = engine.connect()
        except DBAPIError as err:
            raise self._unconnected(err.orig or err) from None  # the chain would name the address whole

    def _connect(self) -> Any:
        self._raw = self._driver.connect()
        if self._ctx.cancelled():
            self._interrupt()
        return self._raw

    def _interrupt(self) -> None:
        if self._raw is not None:
            with suppress(Exception):  # it is killed next
                self._driver.interrupt(self._raw)

    def _unconnected(self, err: BaseException) -> TaskFailed:
        driver = self._driver
        told = " ".join(" ".join(line for line in driver.told(err).splitlines() if not line.startswith("\t")).split())  # without its guesses
        if not driver.is_unreachable(err):
            return TaskFailed(f"{driver.kind} refuses the connection to {driver.place()}: {told}")
        group = self._ctx.info.group
        worker = f"this worker of group '{group}'" if group else "this worker"
        return TaskFailed(
            f"{driver.kind} cannot be reached from {worker}: {driver.place()}: {told}. "
            "Where only some machines reach it, send the task to them: `workerGroup: {key: ...}`"
        )

    # --- asking

    def begin(self, *, steady: bool = False) -> None:
        """Begin a transaction; where it is `steady`, all its statements see the same rows. Without `commit` it is undone."""
        for command in self._driver.begins_steadily if steady else (self._driver.begins,):
            self._command(command)

    def commit(self) -> None:
        self._command(self._driver.commits)

    def _command(self, sql: str) -> None:
        with self.speaking():
            self._connection.exec_driver_sql(sql, execution_options={"no_parameters": True})

    def ask(self, statement: Statement, values: Mapping[str, Any], *, size: int, streaming: bool = False) -> Rows | None:
        """Run a statement; its rows, None when it gives none. With `streaming` they come `size` at a time, which needs a transaction.

        Raises TaskFailed with the database's words."""
        bindable = {name: self._driver.bindable(value) for name, value in values.items()}
        sql, bound = statement.bound(bindable, self._style)
        options: dict[str, Any] = {} if bound is not None else {"no_parameters": True}
        if streaming:
            options.update(stream_results=True, max_row_buffer=size)
        with self.speaking():
            result = self._connection.exec_driver_sql(sql, bound, execution_options=options)
        return Rows(self, result, size) if result.returns_rows else None

    @contextmanager
    def speaking(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as err:
            raise TaskFailed(f"SQL failed: {self._driver.told(err.orig or err)}") from None  # the chain would hold the values

    # --- its end

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(Exception):  # broken, or interrupted: nothing of it is kept either way
            self._connection.invalidate()
            self._connection.close()


def _nothing(connection: sqlalchemy.Connection) -> None:
    """No questions to a server before ours."""
