"""What may be searched and sorted by, per kind of thing: the REST API's names, and the columns they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """How a condition's value is read."""

    TEXT = auto()
    NUMBER = auto()
    STATE = auto()
    LEVEL = auto()
    INSTANT = auto()
    # fields that are not simply a column
    QUERY = auto()  # any of several columns contains it, whatever the case
    LABELS = auto()
    SCOPE = auto()  # USER or SYSTEM
    CHILD = auto()  # CHILD or MAIN
    RECENT = auto()  # a duration back from now
    AT_LEAST = auto()  # a level, or louder
    TASK_RUN = auto()  # a column of any of the execution's task runs


@dataclass(frozen=True)
class Field:
    """One searchable field. `column` is where it looks; QUERY names several in `columns`."""

    kind: Kind
    column: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Searchable:
    """The fields of one kind of thing, its sort fields, the order when none is asked for, and what makes an order total."""

    name: str
    fields: Mapping[str, Field]
    sorts: Mapping[str, str]
    default: tuple[tuple[str, bool], ...]  # (column, ascending)
    unique: tuple[str, ...]


def _text(column: str) -> Field:
    return Field(Kind.TEXT, column)


EXECUTIONS = Searchable(
    "executions",
    {
        "q": Field(Kind.QUERY, columns=("id", "namespace", "flow_id")),
        "id": _text("id"),
        "executionId": _text("id"),
        "namespace": _text("namespace"),
        "flowId": _text("flow_id"),
        "flowRevision": Field(Kind.NUMBER, "flow_revision"),
        "scope": Field(Kind.SCOPE, "namespace"),
        "labels": Field(Kind.LABELS),
        "state": Field(Kind.STATE, "state"),
        "startDate": Field(Kind.INSTANT, "start_date"),
        "endDate": Field(Kind.INSTANT, "end_date"),
        "timeRange": Field(Kind.RECENT, "start_date"),
        "triggerExecutionId": _text("trigger_execution_id"),
        "childFilter": Field(Kind.CHILD, "trigger_execution_id"),
        "triggerId": _text("trigger_id"),
        "kind": _text("kind"),
        "parentId": _text("parent_id"),
        "originalId": _text("original_id"),
        "taskId": Field(Kind.TASK_RUN, "task_id"),
        "taskRunId": Field(Kind.TASK_RUN, "id"),
    },
    {
        "id": "id",
        "state.startDate": "start_date",
        "state.endDate": "end_date",
        "state.duration": "duration",
        "state.current": "state",
        "namespace": "namespace",
        "flowId": "flow_id",
    },
    (("start_date", False),),
    ("id",),
)

FLOWS = Searchable(
    "flows",
    {
        "q": Field(Kind.QUERY, columns=("id", "namespace")),
        "id": _text("id"),
        "flowId": _text("id"),
        "namespace": _text("namespace"),
        "flowRevision": Field(Kind.NUMBER, "revision"),
        "scope": Field(Kind.SCOPE, "namespace"),
        "labels": Field(Kind.LABELS),
    },
    {"id": "id", "namespace": "namespace", "revision": "revision"},
    (("namespace", True), ("id", True)),
    ("namespace", "id"),
)

LOGS = Searchable(
    "logs",
    {
        "q": Field(Kind.QUERY, columns=("message", "namespace", "flow_id", "execution_id", "task_id", "trigger_id")),
        "namespace": _text("namespace"),
        "flowId": _text("flow_id"),
        "scope": Field(Kind.SCOPE, "namespace"),
        "executionId": _text("execution_id"),
        "taskId": _text("task_id"),
        "taskRunId": _text("task_run_id"),
        "triggerId": _text("trigger_id"),
        "attemptNumber": Field(Kind.NUMBER, "attempt"),
        "level": Field(Kind.LEVEL, "level"),
        "minLevel": Field(Kind.AT_LEAST, "level"),
        "startDate": Field(Kind.INSTANT, "timestamp"),
        "endDate": Field(Kind.INSTANT, "timestamp"),
        "timeRange": Field(Kind.RECENT, "timestamp"),
    },
    {"timestamp": "timestamp", "level": "level"},
    (("timestamp", False),),
    ("id",),
)

TRIGGERS = Searchable(
    "triggers",
    {
        "q": Field(Kind.QUERY, columns=("trigger_id", "flow_id", "namespace")),
        "namespace": _text("namespace"),
        "flowId": _text("flow_id"),
        "scope": Field(Kind.SCOPE, "namespace"),
        "id": _text("trigger_id"),
        "triggerId": _text("trigger_id"),
        "triggerExecutionId": _text("execution_id"),
        "executionId": _text("execution_id"),
        "workerId": _text("worker_id"),
        "startDate": Field(Kind.INSTANT, "next_execution_date"),
        "endDate": Field(Kind.INSTANT, "next_execution_date"),
    },
    {"flowId": "flow_id", "triggerId": "trigger_id", "namespace": "namespace", "nextExecutionDate": "next_execution_date"},
    (("namespace", True), ("flow_id", True), ("trigger_id", True)),
    ("namespace", "flow_id", "trigger_id"),
)
