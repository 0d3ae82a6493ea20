"""Dates as text in ISO form, read as Java reads them; and any value taken as a date."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.zones import ZULU, placed_in, zone

_ISO = re.compile(
    r"(?P<y>[+-]?\d{4,9})-(?P<mo>\d\d)-(?P<d>\d\d)T(?P<h>\d\d):(?P<mi>\d\d)(?::(?P<s>\d\d)(?:\.(?P<f>\d{1,9}))?)?"
    r"(?P<offset>Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?(?:\[(?P<zone>[^\]]+)\])?",
    re.IGNORECASE,
)
EPOCH = datetime(1970, 1, 1, tzinfo=ZULU)


def parse_zoned(text: str) -> datetime:
    """An aware date from ISO text with an offset, and perhaps a `[Region/City]`. Raises ValueError without an offset."""
    found = _ISO.fullmatch(text.strip())
    if found is None or not found.group("offset"):
        raise ValueError(f"Text '{text}' is no date with a time and an offset")
    at = _local(found).replace(tzinfo=zone(found.group("offset").upper()))
    return at.astimezone(zone(found.group("zone"))) if found.group("zone") else at


def parse_local(text: str) -> datetime:
    """A date and time without a zone. Raises ValueError for anything else."""
    found = _ISO.fullmatch(text.strip())
    if found is None or found.group("offset") or found.group("zone"):
        raise ValueError(f"Text '{text}' is no date with a time and without an offset")
    return _local(found)


def _local(found: re.Match[str]) -> datetime:
    part = {key: int(value) for key, value in found.groupdict().items() if key in ("y", "mo", "d", "h", "mi", "s") and value}
    micros = int((found.group("f") or "").ljust(6, "0")[:6])
    return datetime(part["y"], part["mo"], part["d"], part["h"], part["mi"], part.get("s", 0), micros)  # noqa: DTZ001 - zone follows


def parse_any(text: str, place: tzinfo | None) -> datetime:
    """An aware date from text: with offset, or local in `place`, or a day from its start. Raises ExpressionFailed."""
    for read in (
        parse_zoned,
        lambda local: placed_in(parse_local(local), place),
        lambda day: placed_in(datetime.combine(date.fromisoformat(day), time()), place),
    ):
        try:
            return read(text)
        except ValueError:
            continue
    raise ExpressionFailed(f"Text '{text[:200]}' could not be parsed as a date")


def as_date(value: Any, place: tzinfo | None) -> datetime:
    """Any value as an aware date: a date, epoch seconds, or ISO text; a day without a time is its noon. Raises ExpressionFailed."""
    if isinstance(value, datetime):
        return placed_in(value, place) if value.tzinfo is None else value
    if isinstance(value, date):
        return placed_in(datetime.combine(value, time(12)), place)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        try:
            return (EPOCH + timedelta(seconds=int(value))).astimezone(place)
        except (OverflowError, ValueError):
            raise ExpressionFailed(f"{value} is no date in seconds since 1970") from None
    if isinstance(value, str):
        return parse_any(value, place)
    raise ExpressionFailed(f"A value of type {class_name(value)} cannot be used as a date")
