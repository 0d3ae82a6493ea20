"""Pydantic's errors as problems of a document: one per mistake, at the place that was written, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.lang.findings import did_you_mean
from orchestrator.lang.shape import is_dynamic, properties
from orchestrator.lang.source import Path
from orchestrator.model.values import Json

_KINDS: Mapping[str, str] = {
    "string_type": "text",
    "string_sub_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "dict_type": "a map",
    "mapping_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "none_required": "empty",
    "time_delta_type": "an ISO-8601 duration such as PT30S",
    "time_delta_parsing": "an ISO-8601 duration such as PT30S",
}


class Complaint(NamedTuple):
    """One mistake. `path` is relative to the value that was read; `at_key` when the property's name is what is wrong."""

    code: str
    message: str
    path: Path
    help: str | None = None
    at_key: bool = False


def complaints(error: ValidationError, raw: Json, cls: type[BaseModel]) -> tuple[Complaint, ...]:
    """The mistakes behind a validation error; the branches of a union that were tried count as one."""
    grouped: dict[Path, list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        grouped.setdefault(written_path(found, raw), []).append(found)
    deeper = {path[:cut] for path in grouped for cut in range(len(path))}
    return tuple(
        _complaint(path, group, raw, cls)
        for path, group in grouped.items()
        # Another branch of a union went further down: the mistake is there, not in the whole being of another type.
        if not (path in deeper and all(g["type"] in _KINDS for g in group))
    )


def written_path(found: ErrorDetails, raw: Json) -> Path:
    """An error's `loc` as a path into `raw`, without the names of validators and union branches that pydantic puts between."""
    loc, value, path = found["loc"], raw, []
    for at, part in enumerate(loc):
        if (isinstance(value, Mapping) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            path.append(part)
            value = value[part]  # type: ignore[index]  # JSON, just looked at
        elif at == len(loc) - 1 and found["type"] == "missing":
            path.append(part)
    return tuple(path)


def value_at(raw: Any, path: Path) -> Any:
    """The value at a path, None when there is none."""
    for part in path:
        try:
            raw = raw[part]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _complaint(path: Path, group: Sequence[ErrorDetails], raw: Json, cls: type[BaseModel]) -> Complaint:
    first, value = group[0], value_at(raw, path)
    kinds = list(dict.fromkeys(_KINDS[g["type"]] for g in group if g["type"] in _KINDS))
    if first["type"] == "missing" or (value is None and kinds and path):
        return Complaint("missing-property", "must not be null", path, _needed(path))
    if first["type"] == "extra_forbidden":
        return unknown_property(path, cls if len(path) == 1 else None)
    if kinds and len(kinds) == len({_KINDS.get(g["type"]) for g in group}):
        return Complaint("wrong-type", f"must be {' or '.join(kinds)}{_template(path, cls)}", path)
    return _particular(path, next((g for g in group if g["type"] not in _KINDS), first), value, cls)


def _particular(path: Path, found: ErrorDetails, value: Json, cls: type[BaseModel]) -> Complaint:
    context: Mapping[str, Any] = found.get("ctx", {})
    match found["type"]:
        case "value_error" | "assertion_error":
            return Complaint("invalid-value", str(context.get("error", found["msg"])), path)
        case "enum" | "literal_error":
            expected = str(context.get("expected", ""))
            words = [w.strip(" '") for w in expected.replace(" or ", ",").split(",")]
            return Complaint("invalid-value", f"must be one of {', '.join(words)}{_template(path, cls)}", path, did_you_mean(str(value), words))
        case "too_short" | "string_too_short" if not value:
            return Complaint("empty", "must not be empty", path)
        case "string_pattern_mismatch":
            return Complaint("invalid-value", f'must match "{context.get("pattern")}"', path)
    message = found["msg"]
    return Complaint("invalid-value", (message[:1].lower() + message[1:]).replace("input should", "must"), path)


def unknown_property(path: Path, cls: type[BaseModel] | None, known: Sequence[str] = ()) -> Complaint:
    """The complaint for a property that nothing reads, with the nearest that something does."""
    names = [*known, *(properties(cls) if cls is not None else ())]
    name = str(path[-1])
    near = did_you_mean(name, names) if names else None
    return Complaint(
        "unknown-property", f'Unrecognized field "{name}"', path, near or (f"known here: {', '.join(sorted(names))}" if 0 < len(names) < 12 else None), True
    )


def _template(path: Path, cls: type[BaseModel]) -> str:
    field = properties(cls).get(str(path[0])) if path else None
    return " or a {{ template }}" if is_dynamic(field) else ""


def _needed(path: Path) -> str | None:
    return f"add `{path[-1]}:`" if path and isinstance(path[-1], str) else None
