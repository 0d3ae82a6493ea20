"""Numbers, dates and durations as Java's `toString` writes them, and class names as Java has them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

INTEGER_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1


def double_text(number: float) -> str:
    """A Java Double: `1.0`, `1.0E7`, `1.5E-5`, `NaN`, `Infinity`."""
    if math.isnan(number) or math.isinf(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    size = abs(number)
    if size == 0 or 1e-3 <= size < 1e7:
        return repr(number)
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    figures = "".join(map(str, digits)).rstrip("0") or "0"
    power = len(digits) - 1 + int(exponent)
    return f"{'-' if sign else ''}{figures[0]}.{figures[1:] or '0'}E{power}"


def offset_text(length: timedelta | None) -> str:
    """A zone offset: `Z`, `+02:00`, `-03:30`, `+01:23:45`."""
    seconds = round((length or timedelta()).total_seconds())
    if seconds == 0:
        return "Z"
    sign, seconds = ("-" if seconds < 0 else "+"), abs(seconds)
    hours, rest = divmod(seconds, 3600)
    text = f"{sign}{hours:02d}:{rest // 60:02d}"
    return text + (f":{rest % 60:02d}" if rest % 60 else "")


def time_text(at: time | datetime, *, seconds: bool = False) -> str:
    """A local time: `16:19`, `16:19:05`, `16:19:05.120`; `seconds` keeps zero seconds."""
    text = f"{at.hour:02d}:{at.minute:02d}"
    if at.second or at.microsecond or seconds:
        text += f":{at.second:02d}"
    if at.microsecond:
        text += f".{at.microsecond // 1000:03d}" if at.microsecond % 1000 == 0 else f".{at.microsecond:06d}"
    return text


def date_text(at: datetime) -> str:
    """A date and time as Java prints one: an instant (`tzinfo` is UTC itself) keeps its seconds, a zoned or local one drops zero seconds."""
    day = at.date().isoformat()
    if at.tzinfo is None:
        return f"{day}T{time_text(at)}"
    if at.tzinfo is UTC:
        return f"{day}T{time_text(at, seconds=True)}Z"
    zone = f"[{at.tzinfo.key}]" if isinstance(at.tzinfo, ZoneInfo) else ""
    return f"{day}T{time_text(at)}{offset_text(at.utcoffset())}{zone}"


def date_json(at: datetime) -> str:
    """A date and time inside JSON: ISO with seconds and offset."""
    zone = "" if at.tzinfo is None else offset_text(at.utcoffset())
    return f"{at.date().isoformat()}T{time_text(at, seconds=True)}{zone}"


def class_name(value: Any) -> str:
    """The Java class that a value would have."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "java.lang.Boolean"),
        (str, "java.lang.String"),
        (float, "java.lang.Double"),
        (Decimal, "java.math.BigDecimal"),
        (datetime, "java.time.ZonedDateTime"),
        (date, "java.time.LocalDate"),
        (time, "java.time.LocalTime"),
        (timedelta, "java.time.Duration"),
        (Mapping, "java.util.LinkedHashMap"),
        (AbstractSet, "java.util.LinkedHashSet"),
        (Sequence, "java.util.ArrayList"),
    )
    if isinstance(value, int) and not isinstance(value, bool):
        return "java.lang.Integer" if abs(value) <= INTEGER_MAX else "java.lang.Long" if abs(value) <= LONG_MAX else "java.math.BigInteger"
    if isinstance(value, datetime):
        return "java.time.LocalDateTime" if value.tzinfo is None else "java.time.Instant" if value.tzinfo is UTC else "java.time.ZonedDateTime"
    return next((name for kind, name in kinds if isinstance(value, kind)), "java.lang.Object")
