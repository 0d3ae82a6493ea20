"""Clauses and orders as SQL. Everything a user wrote is a bound parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from orchestrator.store import schema
from orchestrator.store.filters import Clause, Every, HasLabel, HasRun, Is, Not, Some, Test
from orchestrator.store.port import LogFilter
from orchestrator.store.rows import micros

Bool = sa.ColumnElement[bool]


class position_of(GenericFunction[int]):
    """Where the second text begins in the first, from 1; 0 when it is not there. Case and wildcards mean nothing special."""

    type = sa.Integer()
    inherit_cache = True


@compiles(position_of, "sqlite")
def _instr(element: position_of, compiler: Any, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(position_of, "postgresql")
def _strpos(element: position_of, compiler: Any, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"


def _ending(column: Any, value: str) -> Bool:
    tail: Bool = sa.func.substr(column, sa.func.length(column) - len(value) + 1) == value
    return tail


def under(column: Any, folder: str, separator: str) -> Bool:
    """Below `folder`: a range, so that an index serves it. Sound because text compares by code point."""
    return sa.and_(column >= folder + separator, column < folder + chr(ord(separator) + 1))


_TESTS: Mapping[Is, Callable[[Any, Any], Bool]] = {
    Is.EQUAL: lambda column, value: column == value,
    Is.ONE_OF: lambda column, value: column.in_(value),
    Is.CONTAINING: lambda column, value: position_of(column, value) > 0,
    Is.MENTIONING: lambda column, value: position_of(sa.func.lower(column), sa.func.lower(value)) > 0,
    Is.STARTING: lambda column, value: sa.func.substr(column, 1, len(value)) == value,
    Is.ENDING: _ending,
    Is.UNDER: lambda column, value: sa.or_(column == value, under(column, value, ".")),
    Is.MATCHING: lambda column, value: column.regexp_match(value),
    Is.ABOVE: lambda column, value: column > value,
    Is.BELOW: lambda column, value: column < value,
    Is.FROM: lambda column, value: column >= value,
    Is.UP_TO: lambda column, value: column <= value,
    Is.ABSENT: lambda column, _: column.is_(None),
}


def sql_of(clause: Clause, table: sa.Table) -> Bool:
    """A clause about rows of `table`."""
    match clause:
        case Test(column, what, value):
            return _TESTS[what](table.c[column], value)
        case HasLabel(key, test):
            labels = schema.execution_labels if table is schema.executions else schema.flow_labels
            return sa.exists().where(_belongs(labels, table), labels.c.key == key, sql_of(test, labels))
        case HasRun(test):
            return sa.exists().where(schema.task_runs.c.execution_id == table.c.id, sql_of(test, schema.task_runs))
        case Not(inner):
            return sa.not_(sa.func.coalesce(sql_of(inner, table), sa.false()))
        case Every(inner_clauses):
            return sa.and_(sa.true(), *(sql_of(inner, table) for inner in inner_clauses))
        case Some(inner_clauses):
            return sa.or_(sa.false(), *(sql_of(inner, table) for inner in inner_clauses))


def _belongs(labels: sa.Table, table: sa.Table) -> Bool:
    if labels is schema.execution_labels:
        return labels.c.execution_id == table.c.id
    return sa.and_(*(labels.c[name] == table.c[name] for name in ("namespace", "id", "revision")))


def ordering(order: tuple[tuple[str, bool], ...], table: sa.Table) -> list[sa.ColumnElement[Any]]:
    """Columns to order by. What is absent counts as latest, in every database."""
    return [_ordered(table.c[column], ascending) for column, ascending in order]


def _ordered(column: sa.Column[Any], ascending: bool) -> sa.ColumnElement[Any]:
    way = column.asc() if ascending else column.desc()
    if not column.nullable:
        return way  # a plain order can use an index
    return way.nulls_last() if ascending else way.nulls_first()


def newest(table: sa.Table) -> Bool:
    """This row of `flows` is its flow's newest revision."""
    other = table.alias("other")
    latest = sa.select(sa.func.max(other.c.revision)).where(other.c.namespace == table.c.namespace, other.c.id == table.c.id)
    return table.c.revision == latest.correlate(table).scalar_subquery()


def lines(which: LogFilter) -> Bool:
    """The log lines that a LogFilter means."""
    c = schema.logs.c
    wanted = (
        (c.execution_id, which.execution_id),
        (c.task_id, which.task_id),
        (c.task_run_id, which.task_run_id),
        (c.namespace, None if which.below else which.namespace),
        (c.flow_id, which.flow_id),
        (c.trigger_id, which.trigger_id),
    )
    clauses: list[Bool] = [column == value for column, value in wanted if value]
    if which.attempt is not None:
        clauses.append(c.attempt == which.attempt)
    if which.min_level is not None:
        clauses.append(c.level >= which.min_level.rank)
    return sa.and_(sa.true(), *clauses, *_lines_more(which))


def _lines_more(which: LogFilter) -> list[Bool]:
    c, clauses = schema.logs.c, list[Bool]()
    if which.below and which.namespace:
        clauses.append(sa.or_(c.namespace == which.namespace, under(c.namespace, which.namespace, ".")))
    if which.levels:
        clauses.append(c.level.in_([level.rank for level in which.levels]))
    if which.start is not None:
        clauses.append(c.timestamp >= micros(which.start))
    if which.end is not None:
        clauses.append(c.timestamp <= micros(which.end))
    if which.of_executions is not None:
        clauses.append(c.execution_id.is_not(None) if which.of_executions else c.execution_id.is_(None))
    if which.up_to is not None:
        clauses.append(c.id <= which.up_to)
    return clauses
