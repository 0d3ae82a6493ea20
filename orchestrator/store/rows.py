"""From values to table rows and back: one function each way per table, in the order of `schema.written`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.log import Level, LogLine, Metric
from orchestrator.model.state import Lifecycle
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Json
from orchestrator.store.port import Command, KeyValue, SavedFlow, StoredFile

Row: TypeAlias = tuple[Any, ...]  # plain database values: text, int, float, bool, None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_LEVELS = tuple(Level)


def micros(at: datetime | None) -> int | None:
    """An instant as whole microseconds since 1970 in UTC."""
    return None if at is None else (at - EPOCH) // _MICRO


def instant(at: int) -> datetime:
    """The instant that `micros` made this number of."""
    return EPOCH + timedelta(microseconds=at)


def document(value: BaseModel, leave_out: set[str] | None = None) -> str:
    """A value's JSON: camelCase, absent instead of null, numbers that JSON cannot say as null."""
    try:
        return value.model_dump_json(by_alias=True, exclude_none=True, exclude=leave_out)
    except PydanticSerializationError:  # half a surrogate pair: no database can hold it as UTF-8
        return json.dumps(_storable(value.model_dump(mode="python", by_alias=True, exclude_none=True, exclude=leave_out)), default=_as_text)


def json_text(value: Json) -> str:
    """Any JSON value as text that every database can hold."""
    try:
        return to_json(value, inf_nan_mode="null").decode()
    except (PydanticSerializationError, UnicodeError):
        return json.dumps(_storable(value), default=_as_text)


def json_value(text: str) -> Json:
    return from_json(text)


def plain(text: str) -> str:
    """Text without what a database column cannot hold: NUL and half surrogate pairs become U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _storable(value: Json) -> Json:
    match value:
        case str():
            return plain(value)
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {plain(str(k)): _storable(v) for k, v in value.items()}
        case Sequence():
            return [_storable(v) for v in value]
    return value


def _as_text(value: object) -> Json:
    return from_json(to_json(value))


def flow_row(saved: SavedFlow) -> Row:
    flow = saved.flow
    return (flow.namespace, flow.id, flow.revision, flow.disabled, flow.deleted, micros(saved.updated), plain(saved.source), document(flow))


def flow_of(doc: str, source: str, updated: int) -> SavedFlow:
    return SavedFlow.model_construct(flow=Flow.model_validate_json(doc), source=source, updated=instant(updated))


def flow_label_rows(saved: SavedFlow) -> list[Row]:
    flow = saved.flow
    return sorted({(flow.namespace, flow.id, flow.revision, plain(label.key), plain(label.value)) for label in flow.labels})


def _times(state: Lifecycle) -> tuple[int | None, int | None]:
    return micros(state.start), micros(state.end)


def execution_row(execution: Execution) -> Row:
    start, end = _times(execution.state)
    trigger = execution.trigger
    caller = trigger.variables.get("executionId") if trigger else None
    empty = {name for name in ("inputs", "outputs", "variables") if not getattr(execution, name)}
    return (
        execution.id,
        execution.namespace,
        execution.flow_id,
        execution.flow_revision,
        execution.state.current.value,
        start,
        end,
        execution.state.duration // _MICRO,
        execution.parent_id,
        execution.original_id,
        trigger.id if trigger else None,
        caller if isinstance(caller, str) else None,
        execution.kind or "NORMAL",
        execution.version,
        document(execution, empty),
    )


def execution_label_rows(execution: Execution) -> list[Row]:
    return sorted({(execution.id, plain(label.key), plain(label.value)) for label in execution.labels})


def joined(execution_doc: str, task_run_docs: Iterable[str]) -> str:
    """The REST API's Execution: one stored document with others inside it, none of them parsed."""
    return f'{execution_doc[:-1]},"taskRunList":[{",".join(task_run_docs)}]}}'


def task_run_row(run: TaskRun) -> Row:
    start, end = _times(run.state)
    placement = run.placement
    return (
        run.id,
        run.execution_id,
        run.seq,
        run.task_id,
        run.state.current.value,
        start,
        end,
        micros(run.due),
        run.lease,
        run.generation,
        run.cause.value if run.cause else None,
        run.cost,
        placement.group if placement else None,
        placement.worker if placement else None,
        document(run.job) if run.job else None,
        document(run),
    )


def log_row(line: LogLine) -> Row:
    return (
        line.namespace,
        line.flow_id,
        line.execution_id,
        line.task_id,
        line.task_run_id,
        line.attempt_number,
        line.trigger_id,
        micros(line.timestamp),
        line.level.rank,
        plain(line.thread) if line.thread else None,
        plain(line.message),
        line.deleted,
        line.offset,
    )


def log_of(row: Sequence[Any]) -> LogLine:
    """A line, from the columns of `log_row`."""
    return LogLine.model_construct(
        namespace=row[0],
        flow_id=row[1],
        execution_id=row[2],
        task_id=row[3],
        task_run_id=row[4],
        attempt_number=row[5],
        trigger_id=row[6],
        timestamp=instant(row[7]),
        level=_LEVELS[row[8]],
        thread=row[9],
        message=row[10],
        deleted=bool(row[11]),
        offset=row[12],
    )


def metric_row(metric: Metric) -> Row:
    return (
        metric.namespace,
        metric.flow_id,
        metric.execution_id,
        metric.task_id,
        metric.task_run_id,
        metric.type,
        plain(metric.name),
        metric.value,
        micros(metric.timestamp),
        document(metric),
    )


def storable_metrics(metrics: Iterable[Metric]) -> list[Metric]:
    """Those that JSON has a number for: an infinite or undefined value can be neither stored nor shown, and is dropped."""
    return [m for m in metrics if math.isfinite(m.value)]


def command_row(command: Command) -> Row:
    return (command.id, command.execution_id, document(command))


def key_row(entry: KeyValue) -> Row:
    return (entry.namespace, entry.key, micros(entry.expires), document(entry))


def file_row(file: StoredFile) -> Row:
    return (file.kind, file.owner, file.path, file.blob, document(file))


def trigger_row(trigger: TriggerState) -> Row:
    return (
        trigger.namespace,
        trigger.flow_id,
        trigger.trigger_id,
        trigger.disabled,
        trigger.worker_id,
        trigger.execution_id,
        micros(trigger.next_execution_date),
        document(trigger),
    )
