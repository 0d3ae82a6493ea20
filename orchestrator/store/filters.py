"""From the REST API's conditions to a small language of clauses, which SQL and memory both speak."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import TypeAlias, TypeVar

from orchestrator.errors import Refused
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json, parse_duration, parse_instant
from orchestrator.store.fields import Field, Kind, Searchable
from orchestrator.store.port import Condition, Page
from orchestrator.store.rows import micros, plain

W = TypeVar("W", State, Level)
Plain: TypeAlias = str | int


class Is(Enum):
    """What a column's value is asked. An absent value passes only ABSENT."""

    EQUAL = auto()
    ONE_OF = auto()
    CONTAINING = auto()
    MENTIONING = auto()  # containing, whatever the case of ASCII letters
    STARTING = auto()
    ENDING = auto()
    UNDER = auto()  # itself, or below it with a dot between
    MATCHING = auto()  # a regular expression, anywhere in it
    ABOVE = auto()
    BELOW = auto()
    FROM = auto()
    UP_TO = auto()
    ABSENT = auto()


@dataclass(frozen=True)
class Test:
    """A column of the row itself. `value` is a tuple for ONE_OF, None for ABSENT."""

    column: str
    what: Is
    value: Plain | tuple[Plain, ...] | None = None


@dataclass(frozen=True)
class HasLabel:
    """Some label with this key has a value that passes (`test.column` is `value`)."""

    key: str
    test: Test


@dataclass(frozen=True)
class HasRun:
    """Some task run of the execution passes."""

    test: Test


@dataclass(frozen=True)
class Not:
    """The clause does not hold; unlike in SQL, that includes absent values."""

    of: Clause


@dataclass(frozen=True)
class Every:
    of: tuple[Clause, ...]


@dataclass(frozen=True)
class Some:
    of: tuple[Clause, ...]


Clause: TypeAlias = Test | HasLabel | HasRun | Not | Every | Some

SYSTEM_NAMESPACE = "system"
# each operator: what is asked, and whether the answer is turned around
_OPS: Mapping[str, tuple[Is, bool]] = {
    "EQUALS": (Is.EQUAL, False),
    "NOT_EQUALS": (Is.EQUAL, True),
    "IN": (Is.ONE_OF, False),
    "NOT_IN": (Is.ONE_OF, True),
    "CONTAINS": (Is.CONTAINING, False),
    "NOT_CONTAINS": (Is.CONTAINING, True),
    "STARTS_WITH": (Is.STARTING, False),
    "ENDS_WITH": (Is.ENDING, False),
    "PREFIX": (Is.UNDER, False),
    "REGEX": (Is.MATCHING, False),
    "GREATER_THAN": (Is.ABOVE, False),
    "LESS_THAN": (Is.BELOW, False),
    "GREATER_THAN_OR_EQUAL_TO": (Is.FROM, False),
    "LESS_THAN_OR_EQUAL_TO": (Is.UP_TO, False),
    "IS_NULL": (Is.ABSENT, False),
    "IS_NOT_NULL": (Is.ABSENT, True),
}
_TEXT_ONLY = frozenset({Is.CONTAINING, Is.STARTING, Is.ENDING, Is.UNDER, Is.MATCHING})
_CHOICES = frozenset({Is.EQUAL, Is.ONE_OF})
_GROUPS: Mapping[str, type[Every] | type[Some]] = {"ALL": Every, "ANY": Some}


def clause_of(what: Searchable, conditions: Sequence[Condition], now: datetime) -> Every:
    """What a row must pass to meet all conditions. Raises Refused for an unknown field or operator, or a bad value."""
    return Every(tuple(_clause(what, condition, now) for condition in conditions))


def order_of(what: Searchable, sort: Sequence[tuple[str, bool]]) -> tuple[tuple[str, bool], ...]:
    """The columns to sort by, each with whether it ascends; made total. Raises Refused for a field that cannot be sorted by."""
    for name, _ in sort:
        if name not in what.sorts:
            raise Refused(f"{what.name} cannot be sorted by `{name}`; one of {', '.join(what.sorts)} can be used")
    asked = tuple((what.sorts[name], ascending) for name, ascending in sort) or what.default
    taken = {column for column, _ in asked}
    return asked + tuple((column, asked[0][1]) for column in what.unique if column not in taken)


def bounds_of(page: Page) -> tuple[int, int]:
    """How many rows to pass over, and how many to take. Raises Refused for a page or size below 1."""
    if page.number < 1 or page.size < 1:
        raise Refused("page and size are at least 1")
    return (page.number - 1) * page.size, page.size


def _clause(what: Searchable, condition: Condition, now: datetime) -> Clause:
    if condition.op in _GROUPS:
        return _GROUPS[condition.op](tuple(_clause(what, inner, now) for inner in condition.value))
    if (field := what.fields.get(condition.field)) is None:
        raise Refused(f"{what.name} cannot be filtered by `{condition.field}`; one of {', '.join(what.fields)} can be used")
    if condition.op not in _OPS:
        raise Refused(f"`{condition.op}` is not an operator; one of {', '.join(_OPS)} can be used")
    asked, turned = _OPS[condition.op]
    if asked is Is.EQUAL and isinstance(condition.value, list | tuple) and field.kind is not Kind.LABELS:
        asked = Is.ONE_OF
    clause = _BY_KIND.get(field.kind, _column)(field, asked, condition, now)
    return Not(clause) if turned else clause


def _refuse_op(condition: Condition) -> Refused:
    return Refused(f"`{condition.op}` cannot be used with `{condition.field}`")


def _column(field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    if asked in _TEXT_ONLY and field.kind is not Kind.TEXT:
        raise _refuse_op(condition)
    return Test(field.column, asked, _value(field.kind, asked, condition))


def _value(kind: Kind, asked: Is, condition: Condition) -> Plain | tuple[Plain, ...] | None:
    if asked is Is.ABSENT:
        return None
    if asked is Is.ONE_OF:
        return tuple(_one(kind, item, condition) for item in _items(condition.value))
    value = _one(kind, condition.value, condition)
    if asked is Is.MATCHING:
        _check_pattern(str(value))
    return value


def _items(value: Json) -> Sequence[Json]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value if isinstance(value, list | tuple) else [value]


def _one(kind: Kind, value: Json, condition: Condition) -> Plain:
    try:
        return _READ[kind](value)
    except (ValueError, TypeError, AttributeError) as err:
        raise Refused(f"`{value}` is not a value that `{condition.field}` can be compared with: {err}") from err


def _text_of(value: Json) -> str:
    if value is None or isinstance(value, Mapping | list | tuple):
        raise ValueError("a text is needed")
    return plain(str(value).lower() if isinstance(value, bool) else str(value))


def _number_of(value: Json) -> int:
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError("the number is too large")
    return number


def _instant_of(value: Json) -> int:
    at = micros(value if isinstance(value, datetime) else parse_instant(value))
    assert at is not None
    return at


def _word_of(words: type[W], value: Json) -> W:
    try:
        return words(str(value).upper())
    except ValueError:
        raise ValueError(f"one of {', '.join(words)} is needed") from None


_READ: Mapping[Kind, Callable[[Json], Plain]] = {
    Kind.TEXT: _text_of,
    Kind.TASK_RUN: _text_of,
    Kind.NUMBER: _number_of,
    Kind.INSTANT: _instant_of,
    Kind.STATE: lambda value: _word_of(State, value).value,
    Kind.LEVEL: lambda value: _word_of(Level, value).rank,
    Kind.AT_LEAST: lambda value: _word_of(Level, value).rank,
}


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as err:
        raise Refused(f"`{pattern}` is not a regular expression: {err}") from err


def _query(field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    if asked not in {Is.EQUAL, Is.CONTAINING}:
        raise _refuse_op(condition)
    text = _one(Kind.TEXT, condition.value, condition)
    return Some(tuple(Test(column, Is.MENTIONING, text) for column in field.columns))


def _labels(_field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    if asked not in _CHOICES | _TEXT_ONLY:
        raise _refuse_op(condition)
    return Every(tuple(_label(key, asked, value, condition) for key, value in _pairs(condition)))


def _label(key: str, asked: Is, value: Json, condition: Condition) -> HasLabel:
    if asked is Is.EQUAL and isinstance(value, list | tuple):
        asked = Is.ONE_OF
    return HasLabel(key, Test("value", asked, _value(Kind.TEXT, asked, Condition(condition.field, condition.op, value))))


def _pairs(condition: Condition) -> Sequence[tuple[str, Json]]:
    """Labels as a map, as `key:value` texts, or as a list of `{key, value}`."""
    value = condition.value
    if isinstance(value, Mapping):
        return [(str(key), wanted) for key, wanted in value.items()]
    return [_pair(item, condition) for item in (value if isinstance(value, list | tuple) else [value])]


def _pair(item: Json, condition: Condition) -> tuple[str, Json]:
    if isinstance(item, Mapping) and "key" in item:
        return str(item["key"]), item.get("value")
    key, colon, wanted = str(item).partition(":")
    if not colon:
        raise Refused(f"`{item}` is not a label to filter `{condition.field}` by: write key:value")
    return key.strip(), wanted.strip()


def _words(asked: Is, condition: Condition, allowed: frozenset[str]) -> frozenset[str]:
    if asked not in _CHOICES:
        raise _refuse_op(condition)
    words = frozenset(str(word).upper() for word in _items(condition.value))
    if not words <= allowed:
        raise Refused(f"`{condition.field}` is one of {', '.join(sorted(allowed))}")
    return words


def _scope(field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    system: Clause = Test(field.column, Is.EQUAL, SYSTEM_NAMESPACE)
    words = _words(asked, condition, frozenset({"USER", "SYSTEM"}))
    return Some(tuple(system if word == "SYSTEM" else Not(system) for word in sorted(words)))


def _child(field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    main: Clause = Test(field.column, Is.ABSENT)
    words = _words(asked, condition, frozenset({"CHILD", "MAIN"}))
    return Some(tuple(main if word == "MAIN" else Not(main) for word in sorted(words)))


def _recent(field: Field, asked: Is, condition: Condition, now: datetime) -> Clause:
    if asked is not Is.EQUAL:
        raise _refuse_op(condition)
    try:
        since = now - parse_duration(str(condition.value))
    except (ValueError, OverflowError) as err:
        raise Refused(f"`{condition.field}`: {err}") from err
    return Test(field.column, Is.FROM, micros(since))


def _at_least(field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    if asked not in {Is.EQUAL, Is.FROM}:
        raise _refuse_op(condition)
    return Test(field.column, Is.FROM, _one(field.kind, condition.value, condition))


def _task_run(field: Field, asked: Is, condition: Condition, _now: datetime) -> Clause:
    if asked is Is.ABSENT:
        raise _refuse_op(condition)
    return HasRun(Test(field.column, asked, _value(Kind.TEXT, asked, condition)))


_BY_KIND: Mapping[Kind, Callable[[Field, Is, Condition, datetime], Clause]] = {
    Kind.QUERY: _query,
    Kind.LABELS: _labels,
    Kind.SCOPE: _scope,
    Kind.CHILD: _child,
    Kind.RECENT: _recent,
    Kind.AT_LEAST: _at_least,
    Kind.TASK_RUN: _task_run,
}
