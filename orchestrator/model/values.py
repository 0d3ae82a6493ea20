"""Small values that every room shares: durations, instants, labels, JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

Json: TypeAlias = Any  # a JSON value: None, bool, int, float, str, list, dict. `Any` only at this edge.

_ISO = re.compile(
    r"^(?P<sign>[-+])?P(?:(?P<w>[-+]?\d+)W)?(?:(?P<d>[-+]?\d+)D)?(?:T(?:(?P<h>[-+]?\d+)H)?(?:(?P<m>[-+]?\d+)M)?(?:(?P<s>[-+]?\d+(?:\.\d{1,9})?)S)?)?$",
    re.IGNORECASE,
)


def parse_duration(text: str) -> timedelta:
    """The length of an ISO-8601 duration of weeks, days, hours, minutes and seconds (`P1DT2H`, `PT0.5S`).

    Raises ValueError for anything else, years and months included: they have no fixed length.
    """
    found = _ISO.match(text.strip())
    if found is None or not any(found.group(k) for k in "wdhms") or text.strip().upper().endswith("T"):
        raise ValueError(f"`{text}` is not an ISO-8601 duration such as PT30S or P1DT2H")
    part = {k: float(v) for k, v in found.groupdict().items() if k != "sign" and v}
    length = timedelta(weeks=part.get("w", 0), days=part.get("d", 0), hours=part.get("h", 0), minutes=part.get("m", 0), seconds=part.get("s", 0))
    return -length if found.group("sign") == "-" else length


def format_duration(length: timedelta) -> str:
    """A duration as Java prints one: `PT0S`, `PT1M1.5S`, `PT49H`."""
    micros = round(length / timedelta(microseconds=1))
    if micros == 0:
        return "PT0S"
    sign, micros = ("-" if micros < 0 else ""), abs(micros)
    seconds, fraction = divmod(micros, 1_000_000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = "PT"
    text += f"{sign}{hours}H" if hours else ""
    text += f"{sign}{minutes}M" if minutes else ""
    if seconds or fraction:
        text += f"{sign}{seconds}" + (f".{fraction:06d}".rstrip("0") if fraction else "") + "S"
    return text


def format_instant(at: datetime) -> str:
    """An aware datetime as ISO-8601 UTC with milliseconds or microseconds and `Z`."""
    utc = at.astimezone(UTC) if at.tzinfo is not UTC else at
    return utc.isoformat(timespec="milliseconds" if utc.microsecond % 1000 == 0 else "microseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """An aware UTC datetime from ISO-8601 text with a zone. Raises ValueError when the zone is missing."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"`{text}` has no timezone")
    return at.astimezone(UTC)


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration), PlainSerializer(format_duration, return_type=str)]
Instant = Annotated[datetime, PlainSerializer(format_instant, return_type=str)]


class Frozen(BaseModel):
    """Data that does not change; unknown keys are ignored, camelCase in JSON is written with aliases."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")


class Label(Frozen):
    """A key and its text, as people tag flows and executions."""

    key: str
    value: str


def labels_of(raw: object) -> tuple[Label, ...]:
    """Labels from either written form, a map or a list of `{key, value}`; values become text.

    Raises ValueError for any other shape.
    """
    if raw is None:
        return ()
    if isinstance(raw, Mapping):
        return tuple(Label(key=str(k), value=_text(v)) for k, v in raw.items())
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        found = []
        for item in raw:
            if isinstance(item, Label):
                found.append(item)
            elif isinstance(item, Mapping) and "key" in item:
                found.append(Label(key=str(item["key"]), value=_text(item.get("value"))))
            else:
                raise ValueError("a label is a `key` and a `value`")
        return tuple(found)
    raise ValueError("labels are a map or a list of `key` and `value`")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def up(namespace: str) -> Iterator[str]:
    """A namespace and those above it, nearest first."""
    parts = namespace.split(".")
    while parts:
        yield ".".join(parts)
        parts.pop()
