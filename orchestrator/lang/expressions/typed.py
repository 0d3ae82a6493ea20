"""Values of kinds that JSON has not, written as one-key maps: `{"$zoned": "2013-09-08T16:19:00+02:00"}`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.javadates import parse_local, parse_zoned
from orchestrator.lang.functions.printing import is_list
from orchestrator.model.values import parse_duration


def _instant(text: str) -> datetime:
    return parse_zoned(text).astimezone(UTC)


_KINDS: Mapping[str, Callable[[str], Any]] = {
    "$zoned": parse_zoned,
    "$instant": _instant,
    "$local": parse_local,
    "$date": date.fromisoformat,
    "$duration": parse_duration,
}


def with_types(value: Any) -> Any:
    """A JSON value in which the maps `$zoned`, `$instant`, `$local`, `$date` and `$duration` are the dates and durations they stand for.

    Raises ExpressionFailed for text that is none.
    """
    if isinstance(value, Mapping):
        if len(value) == 1 and (kind := next(iter(value))) in _KINDS:
            return _read(kind, value[kind])
        return {key: with_types(held) for key, held in value.items()}
    return [with_types(item) for item in value] if is_list(value) else value


def _read(kind: str, text: Any) -> Any:
    try:
        return _KINDS[kind](str(text))
    except ValueError as problem:
        raise ExpressionFailed(f"`{text}` is no value of type {kind}") from problem
