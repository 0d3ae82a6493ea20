"""What a declaration asks of a value of the right type: ranges, patterns, choices, endings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex

from orchestrator.lang import input_types as types
from orchestrator.model.values import Json, parse_duration

PATTERN_SECONDS = 1.0  # how long a user's pattern may take: a bad one can take for ever

# How a bound and a value are compared, and how the bound is shown, per type.
_READ: Mapping[str, Callable[[str], Any]] = {
    "DATE": types.parse_date,
    "TIME": types.parse_time,
    "DATETIME": types.parse_datetime,
    "DURATION": parse_duration,
    "INT": float,
    "FLOAT": float,
}


def _shown(kind: str, value: Json) -> str:
    """A bound as messages show it."""
    return types.time_text(types.parse_time(value)) if kind == "TIME" else types.text_of(value)


def check(kind: str, raw: Mapping[str, Json], value: Json, choices: Sequence[str] | None) -> None:
    """Raises ValueError saying which rule of the declaration `raw` the value breaks. `choices` are those of a SELECT, rendered."""
    if kind in _READ:
        _range(kind, raw, value)
    if kind in ("STRING", "SECRET") and raw.get("validator"):
        _pattern(str(raw["validator"]), value)
    if kind in ("ENUM", "SELECT", "MULTISELECT"):
        allowed = choices if choices is not None else [types.text_of(c) for c in raw.get("values") or raw.get("options") or ()]
        _choice(raw, value if isinstance(value, list) else [value], allowed)
    if kind == "FILE":
        _ending(raw, str(value))


def _range(kind: str, raw: Mapping[str, Json], value: Json) -> None:
    low, high, words = ("min", "max", ("more than", "less than")) if kind in ("INT", "FLOAT", "DURATION") else ("after", "before", ("after", "before"))
    it = "It" if kind == "DURATION" else "it"
    read = _READ[kind]
    at = read(str(value))
    if raw.get(low) is not None and at < read(types.text_of(raw[low])):
        raise ValueError(f"{it} must be {words[0]} `{_bound(kind, raw[low])}`")
    if raw.get(high) is not None and at > read(types.text_of(raw[high])):
        raise ValueError(f"{it} must be {words[1]} `{_bound(kind, raw[high])}`")


def _bound(kind: str, bound: Json) -> str:
    return _shown(kind, types.read(kind, bound))


def _pattern(pattern: str, value: Json) -> None:
    try:
        fits = regex.fullmatch(pattern, str(value), timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        raise ValueError(f"it took more than {PATTERN_SECONDS:g} s to match with the pattern `{pattern}`") from None
    if not fits:
        raise ValueError(f"it must match the pattern `{pattern}`")


def _choice(raw: Mapping[str, Json], chosen: Sequence[Json], allowed: Sequence[str]) -> None:
    if not raw.get("allowCustomValue") and any(types.text_of(c) not in allowed for c in chosen):
        raise ValueError(f"it must match the values `[{', '.join(allowed)}]`")


def _ending(raw: Mapping[str, Json], uri: str) -> None:
    endings = raw.get("allowedFileExtensions")
    if isinstance(endings, list) and endings and not uri.lower().endswith(tuple(str(e).lower() for e in endings)):
        raise ValueError(f"its name must end with one of `[{', '.join(map(str, endings))}]`")
