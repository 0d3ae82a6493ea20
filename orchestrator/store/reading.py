"""The reading side over SQL: every call is one short transaction that sees all that was committed before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

import sqlalchemy as sa

from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.log import LogLine, Metric
from orchestrator.model.state import ENDED, State
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Json
from orchestrator.store import queries, rows, schema
from orchestrator.store.fields import EXECUTIONS, FLOWS, LOGS, TRIGGERS, Searchable
from orchestrator.store.filters import bounds_of, clause_of, order_of
from orchestrator.store.port import Command, Condition, Found, Installation, KeyValue, LogFilter, Page, SavedFlow, StoredFile
from orchestrator.store.trouble import telling

Select: TypeAlias = sa.Select[Any]
Bool: TypeAlias = sa.ColumnElement[bool]

GOING_ON = sorted(set(State) - ENDED)
_FLOW = (schema.flows.c.doc, schema.flows.c.source, schema.flows.c.updated)
_LINE = tuple(schema.logs.c[name] for name in schema.written(schema.logs))


class DatabaseReader:
    """Reader over an engine. Safe to use from several threads. `where` names the database in messages."""

    def __init__(self, engine: sa.Engine, where: str) -> None:
        self._engine = engine
        self._where = where

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with telling(self._where), self._engine.connect() as connection:
            yield connection

    def _docs(self, query: Select) -> list[str]:
        with self._reading() as connection:
            return list(connection.scalars(query))

    def _doc(self, query: Select) -> str | None:
        with self._reading() as connection:
            found: str | None = connection.scalars(query).first()
            return found

    def _search(self, what: Searchable, table: sa.Table, columns: Sequence[sa.Column[Any]], conditions: Sequence[Condition], page: Page | None) -> Found[Any]:
        with self._reading() as connection:
            return _page(connection, what, table, columns, conditions, page)

    def installation(self) -> Installation:
        return Installation.model_validate_json(self._doc(sa.select(schema.installation.c.doc)) or "{}")

    # flows

    def flow(self, namespace: str, flow_id: str, revision: int | None = None, *, deleted: bool = False) -> SavedFlow | None:
        c = schema.flows.c
        query = sa.select(*_FLOW, c.revision, c.deleted).where(c.namespace == namespace, c.id == flow_id).order_by(c.revision.desc())
        with self._reading() as connection:
            newest = connection.execute(query.limit(1)).first()
            if newest is None or (newest.deleted and not deleted):
                return None
            wanted = newest if revision is None else connection.execute(query.where(c.revision == revision)).first()
        return rows.flow_of(*wanted[:3]) if wanted else None

    def revisions(self, namespace: str, flow_id: str) -> Sequence[SavedFlow]:
        c = schema.flows.c
        with self._reading() as connection:
            found = connection.execute(sa.select(*_FLOW).where(c.namespace == namespace, c.id == flow_id).order_by(c.revision)).all()
        return [rows.flow_of(*row) for row in found]

    def flows(self, conditions: Sequence[Condition] = (), page: Page | None = None) -> Found[SavedFlow]:
        found = self._search(FLOWS, schema.flows, _FLOW, conditions, page)
        return Found([rows.flow_of(*row) for row in found.rows], found.total)

    def namespaces(self) -> Sequence[str]:
        c = schema.flows.c
        return self._docs(sa.select(c.namespace).where(~c.deleted, queries.newest(schema.flows)).distinct().order_by(c.namespace))

    # executions

    def execution(self, execution_id: str) -> Execution | None:
        doc = self._doc(sa.select(schema.executions.c.doc).where(schema.executions.c.id == execution_id))
        return Execution.model_validate_json(doc) if doc else None

    def execution_json(self, execution_id: str) -> str | None:
        with self._reading() as connection:
            doc = connection.scalars(sa.select(schema.executions.c.doc).where(schema.executions.c.id == execution_id)).first()
            return None if doc is None else rows.joined(doc, connection.scalars(_runs_of(execution_id)))

    def task_runs(self, execution_id: str) -> Sequence[TaskRun]:
        return [TaskRun.model_validate_json(doc) for doc in self._docs(_runs_of(execution_id))]

    def task_run(self, task_run_id: str) -> TaskRun | None:
        doc = self._doc(sa.select(schema.task_runs.c.doc).where(schema.task_runs.c.id == task_run_id))
        return TaskRun.model_validate_json(doc) if doc else None

    def unfinished(self) -> Sequence[Execution]:
        c = schema.executions.c
        docs = self._docs(sa.select(c.doc).where(c.state.in_(GOING_ON)).order_by(c.start_date, c.id))
        return [Execution.model_validate_json(doc) for doc in docs]

    def executions(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[Execution]:  # noqa: B008 - frozen
        found = self._search(EXECUTIONS, schema.executions, (schema.executions.c.doc,), conditions, page)
        return Found([Execution.model_validate_json(row.doc) for row in found.rows], found.total)

    def executions_json(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[str]:  # noqa: B008 - frozen
        c, runs = schema.executions.c, schema.task_runs.c
        with self._reading() as connection:
            found = _page(connection, EXECUTIONS, schema.executions, (c.id, c.doc), conditions, page)
            wanted = sa.select(runs.execution_id, runs.doc).where(runs.execution_id.in_([row.id for row in found.rows]))
            inside = connection.execute(wanted.order_by(runs.execution_id, runs.seq, runs.id)).all()
        docs = {id: [run[1] for run in group] for id, group in groupby(inside, itemgetter(0))}
        return Found([rows.joined(row.doc, docs.get(row.id, ())) for row in found.rows], found.total)

    # what executions say

    def logs(self, which: LogFilter, *, after: int = 0, limit: int | None = None) -> Sequence[tuple[int, LogLine]]:
        c = schema.logs.c
        query = sa.select(c.id, *_LINE).where(queries.lines(which), c.id > after).order_by(c.id).limit(limit)
        with self._reading() as connection:
            return [(row[0], rows.log_of(row[1:])) for row in connection.execute(query)]

    def search_logs(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[LogLine]:  # noqa: B008 - frozen
        found = self._search(LOGS, schema.logs, _LINE, conditions, page)
        return Found([rows.log_of(row) for row in found.rows], found.total)

    def metrics(self, execution_id: str, *, task_run_id: str | None = None, task_id: str | None = None, page: Page | None = None) -> Found[Metric]:
        c = schema.metrics.c
        wanted = ((c.execution_id, execution_id), (c.task_run_id, task_run_id), (c.task_id, task_id))
        query = sa.select(c.doc).where(*(column == value for column, value in wanted if value is not None)).order_by(c.id)
        with self._reading() as connection:
            found = _slice(connection, query, page)
        return Found([Metric.model_validate_json(row.doc) for row in found.rows], found.total)

    def commands(self) -> Sequence[Command]:
        return [Command.model_validate_json(doc) for doc in self._docs(sa.select(schema.commands.c.doc).order_by(schema.commands.c.number))]

    # namespaces' own

    def key(self, namespace: str, key: str) -> KeyValue | None:
        c = schema.keys.c
        doc = self._doc(sa.select(c.doc).where(c.namespace == namespace, c.key == key))
        return KeyValue.model_validate_json(doc) if doc else None

    def keys(self, namespace: str | None = None) -> Sequence[KeyValue]:
        c = schema.keys.c
        docs = self._docs(sa.select(c.doc).where(_if_given(c.namespace, namespace)).order_by(c.namespace, c.key))
        return [KeyValue.model_validate_json(doc) for doc in docs]

    def file(self, kind: str, owner: str, path: str) -> StoredFile | None:
        c = schema.files.c
        doc = self._doc(sa.select(c.doc).where(c.kind == kind, c.owner == owner, c.path == path))
        return StoredFile.model_validate_json(doc) if doc else None

    def files(self, kind: str, owner: str, under: str = "/") -> Sequence[StoredFile]:
        c = schema.files.c
        folder = under.rstrip("/")
        below = sa.and_(queries.under(c.path, folder, "/"), c.path != folder + "/")
        docs = self._docs(sa.select(c.doc).where(c.kind == kind, c.owner == owner, below).order_by(c.path))
        return [StoredFile.model_validate_json(doc) for doc in docs]

    def triggers(self, namespace: str | None = None, flow_id: str | None = None) -> Sequence[TriggerState]:
        c = schema.triggers.c
        wanted = sa.and_(_if_given(c.namespace, namespace), _if_given(c.flow_id, flow_id))
        docs = self._docs(sa.select(c.doc).where(wanted).order_by(c.namespace, c.flow_id, c.trigger_id))
        return [TriggerState.model_validate_json(doc) for doc in docs]

    def search_triggers(self, conditions: Sequence[Condition] = (), page: Page | None = None) -> Found[TriggerState]:
        found = self._search(TRIGGERS, schema.triggers, (schema.triggers.c.doc,), conditions, page)
        return Found([TriggerState.model_validate_json(row.doc) for row in found.rows], found.total)

    def setting(self, name: str) -> Json:
        doc = self._doc(sa.select(schema.settings.c.doc).where(schema.settings.c.name == name))
        return rows.json_value(doc) if doc else None

    def settings(self, prefix: str) -> Mapping[str, Json]:
        c = schema.settings.c
        query = sa.select(c.name, c.doc).where(sa.func.substr(c.name, 1, len(prefix)) == prefix).order_by(c.name)
        with self._reading() as connection:
            return {name: rows.json_value(doc) for name, doc in connection.execute(query)}


def _if_given(column: sa.Column[Any], value: str | None) -> Bool:
    return sa.true() if value is None else column == value


def _runs_of(execution_id: str) -> Select:
    c = schema.task_runs.c
    return sa.select(c.doc).where(c.execution_id == execution_id).order_by(c.seq, c.id)


def _page(
    connection: sa.Connection, what: Searchable, table: sa.Table, columns: Sequence[sa.Column[Any]], conditions: Sequence[Condition], page: Page | None
) -> Found[Any]:
    clause = clause_of(what, conditions, datetime.now(UTC))
    query = sa.select(*columns).where(queries.sql_of(clause, table))
    if table is schema.flows:
        query = query.where(~table.c.deleted, queries.newest(table))
    order = order_of(what, page.sort if page else ())
    return _slice(connection, query.order_by(*queries.ordering(order, table)), page)


def _slice(connection: sa.Connection, query: Select, page: Page | None) -> Found[Any]:
    """A page of the query's rows. They are counted only where the page does not show how many there are."""
    if page is None:
        found = connection.execute(query).all()
        return Found(found, len(found))
    offset, size = bounds_of(page)
    found = connection.execute(query.limit(size).offset(offset)).all()
    if 0 < len(found) < size or (not found and offset == 0):
        return Found(found, offset + len(found))
    counted = sa.select(sa.func.count()).select_from(query.order_by(None).subquery())
    return Found(found, connection.scalar(counted) or 0)
