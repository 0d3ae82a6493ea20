"""The JSON shapes of the REST API that are not a stored document as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

from orchestrator.model.flow import TaskSpec, TriggerSpec
from orchestrator.model.values import Json, format_instant, parse_duration
from orchestrator.server.answers import present
from orchestrator.store.port import KeyValue, SavedFlow, StoredFile

_HELD = ("tasks", "then", "else", "defaults", "errors", "finally", "afterExecution")


def flow(saved: SavedFlow, *, source: bool = False) -> str:
    """A Flow's JSON text; FlowWithSource with `source`."""
    text = saved.flow.model_dump_json(by_alias=True, exclude_none=True)
    return f'{text[:-1]},"source":{json.dumps(saved.source)}}}' if source else text


def flow_for_execution(saved: SavedFlow) -> Json:
    """What a caller needs to know of a flow before starting it."""
    found = saved.flow
    return present(
        {
            "id": found.id,
            "namespace": found.namespace,
            "revision": found.revision,
            "inputs": [spec.raw for spec in found.inputs] or None,
            "tasks": [_outline(spec.raw) for spec in found.tasks],
            "triggers": [{"id": t.id, "type": t.type} for t in found.triggers] or None,
            "disabled": found.disabled,
            "deleted": found.deleted,
        }
    )


def _outline(raw: Mapping[str, Json]) -> Json:
    inner = [_outline(task) for name in ("tasks", "then") for task in raw.get(name) or () if isinstance(task, Mapping)]
    return present({"id": raw.get("id"), "type": raw.get("type"), "tasks": inner or None, "inputs": raw.get("onResume")})


def tasks_of(saved: SavedFlow) -> Iterable[Mapping[str, Json]]:
    """Every task of a flow at any depth, as written."""
    found = saved.flow
    for spec in (*found.tasks, *found.errors, *found.finally_, *found.after_execution):
        yield from _below(spec.raw)


def _below(raw: Mapping[str, Json]) -> Iterable[Mapping[str, Json]]:
    yield raw
    lists = [raw.get(name) for name in _HELD]
    if isinstance(cases := raw.get("cases"), Mapping):
        lists += cases.values()
    for held in lists:
        for task in held if isinstance(held, list | tuple) else ():
            if isinstance(task, Mapping):
                yield from _below(task["task"] if isinstance(task.get("task"), Mapping) else task)


def written(spec: TaskSpec | TriggerSpec) -> Mapping[str, Json]:
    """A task or trigger as its author wrote it."""
    return spec.raw


def file_attributes(file: StoredFile) -> Json:
    """FileAttributes of a stored file or folder."""
    return {
        "fileName": file.path.rsplit("/", 1)[-1],
        "type": "Directory" if file.directory else "File",
        "size": file.size,
        "lastModifiedTime": int(file.modified.timestamp() * 1000),
        "creationTime": int(file.created.timestamp() * 1000),
    }


def key_entry(entry: KeyValue) -> Json:
    """KVEntry: an entry without its value."""
    return present(
        {
            "key": entry.key,
            "namespace": entry.namespace,
            "description": entry.description,
            "creationDate": format_instant(entry.created),
            "updateDate": format_instant(entry.updated),
            "expirationDate": None if entry.expires is None else format_instant(entry.expires),
        }
    )


def typed_value(value: Json) -> Json:
    """TypedValue: a stored value with the name of its type. A null value is kept."""
    return {"type": _type_of(value), "value": value}


def _type_of(value: Json) -> str:
    match value:
        case bool():
            return "BOOLEAN"
        case int() | float():
            return "NUMBER"
        case str():
            return _type_of_text(value)
    return "JSON"


def _type_of_text(text: str) -> str:
    for name, looks, read in _TEXTS:
        if looks.match(text):
            try:
                read(text)
            except ValueError:
                continue
            return name
    return "STRING"


def is_typed_text(text: str) -> bool:
    """Whether bare text is a date, a date-time or a duration."""
    return _type_of_text(text) != "STRING"


_TEXTS: tuple[tuple[str, re.Pattern[str], Callable[[str], object]], ...] = (
    ("DATETIME", re.compile(r"^\d{4}-\d\d-\d\dT\d\d:"), datetime.fromisoformat),
    ("DATE", re.compile(r"^\d{4}-\d\d-\d\d$"), date.fromisoformat),
    ("DURATION", re.compile(r"^[-+]?P", re.IGNORECASE), parse_duration),
)
