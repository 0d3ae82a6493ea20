"""The tasks and the trigger that every kind of SQL database has."""

from __future__ import annotations

import tempfile
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, PollingTrigger, RunContext, Task, TaskFailed, Text
from orchestrator_plugins.jdbc.cells import Cells
from orchestrator_plugins.jdbc.properties import Asking, FetchType
from orchestrator_plugins.jdbc.statements import Statement, statements

if TYPE_CHECKING:
    from orchestrator_plugins.jdbc.client import Rows, Session
    from orchestrator_plugins.jdbc.driver import Driver

USUAL_SIZE = 10_000  # rows brought at a time where the flow says nothing of use


@dataclass(frozen=True)
class Asked:
    """One run's properties, rendered."""

    ctx: RunContext
    driver: Driver
    cells: Cells
    fetching: FetchType
    size: int
    values: Mapping[str, Json]

    def streams(self, statement: Statement) -> bool:
        """Whether its rows are to stay with the server until they are wanted."""
        return self.driver.has_cursors and statement.reads and self.fetching in (FetchType.FETCH, FetchType.STORE)

    def ask(self, session: Session, statement: Statement) -> Rows | None:
        return session.ask(statement, self.values, size=self.size, streaming=self.streams(statement))

    def taken(self, rows: Rows | None) -> dict[str, Json]:
        """The outputs that the rows become; `size` counts them."""
        if rows is None or self.fetching is FetchType.NONE:
            return {}
        if self.fetching is FetchType.FETCH_ONE:
            first = rows.first()
            return {"row": None if first is None else self.cells.row(rows.names, first), "size": 0 if first is None else 1}
        if self.fetching is FetchType.FETCH:
            found = [self.cells.row(rows.names, row) for row in rows]
            return {"rows": found, "size": len(found)}
        return self._stored(rows)

    def _stored(self, rows: Rows) -> dict[str, Json]:
        size = 0
        with tempfile.TemporaryDirectory(dir=self.ctx.working_dir(), prefix=".between-") as folder:
            path = Path(folder) / "rows"
            with path.open("w", encoding="utf-8", newline="\n") as out:
                for row in rows:
                    size += 1
                    out.write(self.cells.line(rows.names, row))
            return {"uri": self.ctx.files.put(path, "rows.ion"), "size": size}

    def measured(self, *sizes: int) -> None:
        tags = {"fetch": str(self.fetching in (FetchType.FETCH, FetchType.FETCH_ONE)).lower(), "store": str(self.fetching is FetchType.STORE).lower()}
        self.ctx.metric("counter", "fetch.size", sum(sizes), tags)


def asked(task: Asking, ctx: RunContext) -> Asked:
    size = ctx.render(task.fetch_size)
    return Asked(ctx, task.driver(ctx), Cells(task.zone(ctx)), task.fetching(ctx), size if size > 0 else USUAL_SIZE, task.values(ctx))


def single(name: str, sql: str, of: Asked) -> Statement:
    """The one statement of a property. Raises TaskFailed when it holds none or several."""
    found = statements(sql, of.driver.dialect)
    if len(found) != 1:
        raise TaskFailed(f"{name}: one SQL statement belongs here, and there are {len(found)}; the type `Queries` runs several")
    return found[0]


def opened(of: Asked) -> Session:
    from orchestrator_plugins.jdbc.client import Session

    return Session(of.driver, of.ctx)


class SqlQuery(Asking, Task, ABC):
    """Run one SQL statement; its rows become outputs or a stored file."""

    after_sql: Dynamic[Text] | None = Field(None, alias="afterSQL", description="A statement to run after it, in the same transaction.")
    auto_commit: Dynamic[bool] = Field(True, description="Whether it may run outside of a transaction, as some commands must.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        of = asked(self, ctx)
        statement = single("sql", ctx.render(self.sql), of)
        after = single("afterSQL", ctx.render(self.after_sql), of) if self.after_sql is not None else None
        transaction = after is not None or of.streams(statement) or not ctx.render(self.auto_commit)
        with opened(of) as session:
            if transaction:
                session.begin()
            outputs = of.taken(of.ask(session, statement))
            if after is not None:
                session.ask(after, of.values, size=of.size)
            if transaction:
                session.commit()
        of.measured(outputs.get("size", 0))
        return outputs


class SqlQueries(Asking, Task, ABC):
    """Run SQL statements one after the other; the output `outputs` lists what those that give rows have given."""

    transaction: Dynamic[bool] = Field(True, description="Whether all of them are done or none; else each is kept as it is done.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        of, together = asked(self, ctx), bool(ctx.render(self.transaction))
        found = statements(ctx.render(self.sql), of.driver.dialect)
        if not found:
            raise TaskFailed("sql: there is no statement in it")
        outputs: list[dict[str, Json]] = []
        with opened(of) as session:
            if together:
                session.begin()
            for number, statement in enumerate(found, 1):
                try:
                    self._run(session, of, statement, outputs, alone=not together)
                except TaskFailed as err:
                    raise TaskFailed(f"statement {number} of {len(found)}: {err}") from err
            if together:
                session.commit()
        of.measured(*(one.get("size", 0) for one in outputs))
        return {"outputs": outputs}

    @staticmethod
    def _run(session: Session, of: Asked, statement: Statement, outputs: list[dict[str, Json]], *, alone: bool) -> None:
        transaction = alone and of.streams(statement)
        if transaction:
            session.begin()
        rows = of.ask(session, statement)
        if rows is not None:
            outputs.append(of.taken(rows))
        if transaction:
            session.commit()


class SqlTrigger(Asking, PollingTrigger, ABC):
    """Start an execution when an SQL statement gives at least one row; they are its `trigger.row`, `trigger.rows` or `trigger.uri`."""

    after_sql: Dynamic[Text] | None = Field(
        None, alias="afterSQL", description="A statement to run when there were rows, in the same transaction: it sees the same rows and no newer ones."
    )

    def evaluate(self, ctx: RunContext) -> Mapping[str, Json] | None:
        of = asked(self, ctx)
        statement = single("sql", ctx.render(self.sql), of)
        after = single("afterSQL", ctx.render(self.after_sql), of) if self.after_sql is not None else None
        with opened(of) as session:
            session.begin(steady=after is not None)
            found = self._found(of, of.ask(session, statement))
            if found["size"] and after is not None:
                session.ask(after, of.values, size=of.size)
            session.commit()
        return found if found["size"] else None

    @staticmethod
    def _found(of: Asked, rows: Rows | None) -> dict[str, Json]:
        if rows is None:
            return {"size": 0}
        return of.taken(rows) or {"size": sum(1 for _ in rows)}
