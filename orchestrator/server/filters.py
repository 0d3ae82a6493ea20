"""From both styles of query parameters to the store's conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.model.values import Json
from orchestrator.server.asked import Asked, instant
from orchestrator.server.problems import BadArgument
from orchestrator.store.port import Condition

_BRACKETS = re.compile(r"\[([^\]]*)\]")
_SHORT = {
    "$eq": "EQUALS",
    "$ne": "NOT_EQUALS",
    "$in": "IN",
    "$notin": "NOT_IN",
    "$gt": "GREATER_THAN",
    "$gte": "GREATER_THAN_OR_EQUAL_TO",
    "$lt": "LESS_THAN",
    "$lte": "LESS_THAN_OR_EQUAL_TO",
    "$contains": "CONTAINS",
    "$startswith": "STARTS_WITH",
    "$endswith": "ENDS_WITH",
    "$regex": "REGEX",
    "$prefix": "PREFIX",
}
_DATES = frozenset({"startDate", "endDate"})
_GROUPS = {"and": "ALL", "or": "ANY"}

# Plain parameters: the field they mean, and how it is compared.
EXECUTIONS: Mapping[str, tuple[str, str]] = {
    "q": ("q", "EQUALS"),
    "scope": ("scope", "EQUALS"),
    "namespace": ("namespace", "PREFIX"),
    "flowId": ("flowId", "EQUALS"),
    "startDate": ("startDate", "GREATER_THAN_OR_EQUAL_TO"),
    "endDate": ("endDate", "LESS_THAN_OR_EQUAL_TO"),
    "timeRange": ("timeRange", "EQUALS"),
    "state": ("state", "IN"),
    "labels": ("labels", "EQUALS"),
    "triggerExecutionId": ("triggerExecutionId", "EQUALS"),
    "childFilter": ("childFilter", "EQUALS"),
}
FLOWS: Mapping[str, tuple[str, str]] = {name: EXECUTIONS[name] for name in ("q", "scope", "namespace", "labels")}
LOGS: Mapping[str, tuple[str, str]] = {
    "q": ("q", "EQUALS"),
    "namespace": ("namespace", "PREFIX"),
    "flowId": ("flowId", "EQUALS"),
    "triggerId": ("triggerId", "EQUALS"),
    "executionId": ("executionId", "EQUALS"),
    "taskId": ("taskId", "EQUALS"),
    "minLevel": ("minLevel", "EQUALS"),
    "startDate": ("startDate", "GREATER_THAN_OR_EQUAL_TO"),
    "endDate": ("endDate", "LESS_THAN_OR_EQUAL_TO"),
}
TRIGGERS: Mapping[str, tuple[str, str]] = {
    "q": ("q", "EQUALS"),
    "namespace": ("namespace", "PREFIX"),
    "workerId": ("workerId", "EQUALS"),
    "flowId": ("flowId", "EQUALS"),
}


def conditions(asked: Asked, plain: Mapping[str, tuple[str, str]]) -> tuple[Condition, ...]:
    """Everything a search asks for: its plain parameters and its `filters[...]`. Raises BadArgument, and later the store Refused."""
    _check_range(asked)
    found = [*(_plain(asked, name, *meaning) for name, meaning in plain.items() if asked.text(name)), *_bracketed(asked.pairs)]
    named = {condition.field for condition in found}
    if "timeRange" in named and named & _DATES:
        raise BadArgument("Parameters 'startDate'/'endDate' and 'timeRange' are mutually exclusive")
    return tuple(found)


def labels_of(asked: Asked) -> tuple[tuple[str, str], ...]:
    """The `labels=key:value` of a request, split at the first colon. Raises BadArgument."""
    found = []
    for text in asked.all("labels"):
        key, colon, value = text.partition(":")
        if not colon or not key.strip():
            raise BadArgument(f"a label is written key:value, not `{text}`")
        found.append((key.strip(), value.strip()))
    return tuple(found)


def _check_range(asked: Asked) -> None:
    start, end = asked.instant("startDate"), asked.instant("endDate")
    if start is not None and end is not None and start > end:
        raise BadArgument("Start date must be before End Date")


def _plain(asked: Asked, name: str, field: str, op: str) -> Condition:
    values = asked.all(name)
    if name == "labels":
        return Condition(field, op, [":".join(pair) for pair in labels_of(asked)])
    if op == "IN":
        return Condition(field, op, [word for value in values for word in value.split(",")])
    return Condition(field, op, instant(name, values[-1]) if name in _DATES else values[-1])


def _bracketed(pairs: list[tuple[str, str]]) -> list[Condition]:
    alone: list[Condition] = []
    groups: dict[tuple[str, ...], list[Condition]] = {}
    for key, value in pairs:
        if not key.startswith("filters["):
            continue
        steps = tuple(_BRACKETS.findall(key[len("filters") :]))
        group: tuple[str, ...] = ()
        while len(steps) > 2 and steps[0] in _GROUPS and len(group) < 4:
            group, steps = (*group, *steps[:2]), steps[2:]
        groups.setdefault(group, []).append(_one(key, steps, value)) if group else alone.append(_one(key, steps, value))
    return alone + _grouped(groups)


def _one(key: str, steps: tuple[str, ...], value: str) -> Condition:
    if len(steps) == 2:
        field, op = steps
        read: Json = value
    elif len(steps) == 3:
        field, op, name = steps
        read = {name: value}
    else:
        raise BadArgument(f"`{key}` is not a filter: write filters[field][OPERATOR]")
    return Condition(field, _SHORT.get(op.lower(), op.upper()), instant(field, value) if field in _DATES and "NULL" not in op.upper() else read)


def _grouped(groups: Mapping[tuple[str, ...], list[Condition]]) -> list[Condition]:
    """`and[i]`, `or[i]` members of one word form one group; members that share an index hold together."""
    by_word: dict[str, dict[str, list[Condition]]] = {}
    for (word, index, *inner), members in groups.items():
        held = by_word.setdefault(word, {}).setdefault(index, [])
        held.append(Condition("", _GROUPS[inner[0]], members) if inner else _together(members))
    return [Condition("", _GROUPS[word], [_together(members) for members in by_index.values()]) for word, by_index in by_word.items()]


def _together(members: list[Condition]) -> Condition:
    return members[0] if len(members) == 1 else Condition("", "ALL", members)
