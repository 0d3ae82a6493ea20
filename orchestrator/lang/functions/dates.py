"""Filters and functions on dates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Table, entry, whole
from orchestrator.lang.functions.javadates import EPOCH, as_date
from orchestrator.lang.functions.javapatterns import day_names, format_date, localized, month_names, parse_date
from orchestrator.lang.functions.javatext import date_text, offset_text, time_text
from orchestrator.lang.functions.printing import to_text
from orchestrator.lang.functions.zones import shown_in, zone

DATE_FILTERS: Table = {}
DATE_FUNCTIONS: Table = {}
_STYLES = ("full", "long", "medium", "short")
_PATTERNS = {
    "iso": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
    "iso_local_date": "yyyy-MM-dd",
}
_READABLE = {
    "iso_date": "yyyy-MM-dd[XXX]",
    "iso_time": "HH:mm[:ss][XXX]",
    "iso_local_time": "HH:mm[:ss]",
    "iso_offset_time": "HH:mm[:ss]XXX",
    "iso_ordinal_date": "yyyy-DDD[XXX]",
    "rfc_1123_date_time": "EEE, d MMM yyyy HH:mm[:ss] XXX",
}
_FIXED = {"NANOS": 1e-9, "MICROS": 1e-6, "MILLIS": 1e-3, "SECONDS": 1, "MINUTES": 60, "HOURS": 3600, "HALF_DAYS": 43200}
_DAYS = {"DAYS": 1, "WEEKS": 7}
_MONTHS = {"MONTHS": 1, "YEARS": 12, "DECADES": 120, "CENTURIES": 1200}


def _seconds(at: datetime) -> str:
    """ISO_LOCAL_TIME: seconds always, a fraction only when there is one."""
    return f"{time_text(at, seconds=True)[:8]}" + (f".{at.microsecond:06d}".rstrip("0") if at.microsecond else "")


def _rfc_1123(at: datetime) -> str:
    offset = offset_text(at.utcoffset())
    month, day = month_names(None, "abbreviated")[at.month - 1], day_names(None, "abbreviated")[at.weekday()]
    return f"{day}, {at.day} {month} {at.year:04d} {at:%H:%M:%S} {'GMT' if offset == 'Z' else offset.replace(':', '')}"


def _week_date(at: datetime) -> str:
    year, week, day = at.isocalendar()
    return f"{year:04d}-W{week:02d}-{day}{offset_text(at.utcoffset())}"


def _zoned(at: datetime) -> str:
    region = date_text(at).partition("[")[2]
    return f"{at.date().isoformat()}T{_seconds(at)}{offset_text(at.utcoffset())}" + (f"[{region}" if region else "")


_NAMED: Mapping[str, Callable[[datetime], str]] = {
    "iso_date_time": _zoned,
    "iso_zoned_date_time": _zoned,
    "iso_date": lambda at: at.date().isoformat() + offset_text(at.utcoffset()),
    "iso_time": lambda at: _seconds(at) + offset_text(at.utcoffset()),
    "iso_offset_time": lambda at: _seconds(at) + offset_text(at.utcoffset()),
    "iso_local_time": _seconds,
    "iso_local_date_time": lambda at: f"{at.date().isoformat()}T{_seconds(at)}",
    "iso_instant": lambda at: date_text(at.astimezone(UTC)),
    "iso_ordinal_date": lambda at: f"{at.year:04d}-{at.timetuple().tm_yday:03d}{offset_text(at.utcoffset())}",
    "iso_week_date": _week_date,
    "rfc_1123_date_time": _rfc_1123,
}


def _zone_of(name: Any) -> tzinfo | None:
    return None if name is None else zone(to_text(name))


def _read(value: Any, place: tzinfo | None, existing: Any, locale: Any) -> datetime:
    if existing is None or not isinstance(value, str):
        return as_date(value, place)
    known = to_text(existing)
    if known == "rfc_1123_date_time":
        value = value.strip().replace("GMT", "Z") if value.strip().endswith("GMT") else value
    if known not in _PATTERNS and known not in _READABLE and known in _NAMED:
        return as_date(value, place)
    return parse_date(value, _PATTERNS.get(known) or _READABLE.get(known) or known, place, None if locale is None else to_text(locale))


def _written(at: datetime, form: Any, place: tzinfo | None, locale: Any) -> str:
    name, language = "iso" if form is None else to_text(form), None if locale is None else to_text(locale)
    shown = shown_in(at, place)
    if name in _NAMED:
        return _NAMED[name](shown)
    return localized(shown, name, language) if name in _STYLES else format_date(shown, _PATTERNS.get(name, name), language)


@entry(DATE_FILTERS, "date", parameters=("format", "timeZone", "existingFormat", "locale"))
def date_(value: Any, form: Any = None, time_zone: Any = None, existing: Any = None, locale: Any = None) -> Any:
    """A date as text, in a named format or a Java pattern, shown in `timeZone` (the server's)."""
    if value is None:
        return None
    place = _zone_of(time_zone)
    return _written(_read(value, place, existing, locale), form, place, locale)


@entry(DATE_FUNCTIONS, "now", parameters=("format", "timeZone", "existingFormat", "locale"))
def now(form: Any = None, time_zone: Any = None, existing: Any = None, locale: Any = None) -> str:
    """The current date and time, as `date` writes it."""
    return _written(datetime.now(UTC), form, _zone_of(time_zone), locale)


@entry(DATE_FILTERS, "dateAdd", parameters=("amount", "unit", "format", "timeZone", "existingFormat", "locale"), required=2)
def date_add(value: Any, amount: Any, unit: Any, form: Any = None, time_zone: Any = None, existing: Any = None, locale: Any = None) -> Any:
    """A date moved by an amount of a Java ChronoUnit, as text."""
    if value is None:
        return None
    place = _zone_of(time_zone)
    at = _read(value, place, existing, locale)
    try:
        moved = _moved(at, whole("dateAdd", "amount", amount), to_text(unit))
    except (OverflowError, ValueError) as problem:
        raise ExpressionFailed(f"The date cannot be moved by {to_text(amount)} {to_text(unit)}: {problem}") from problem
    return _written(moved, form, place, locale)


def _moved(at: datetime, amount: int, unit: str) -> datetime:
    """Clock units move the instant, days and months the calendar of the date's own zone."""
    if unit in _FIXED:
        micros = amount * round(_FIXED[unit] * 1_000_000) if unit != "NANOS" else amount // 1000
        return (at.astimezone(UTC) + timedelta(microseconds=micros)).astimezone(at.tzinfo)
    if unit in _DAYS:
        return at + timedelta(days=amount * _DAYS[unit])
    if unit not in _MONTHS:
        raise ExpressionFailed(f"No enum constant java.time.temporal.ChronoUnit.{unit}")
    years, month = divmod(at.year * 12 + at.month - 1 + amount * _MONTHS[unit], 12)
    for day in (at.day, 30, 29, 28):
        try:
            return at.replace(year=years, month=month + 1, day=min(day, at.day))
        except ValueError:
            if day == 28:
                raise
    raise AssertionError("every month has 28 days")


def _since_epoch(value: Any, time_zone: Any, existing: Any) -> tuple[int, int]:
    """Whole seconds since 1970 and the microseconds of the second."""
    length = _read(value, _zone_of(time_zone), existing, None) - EPOCH
    return length.days * 86400 + length.seconds, length.microseconds


@entry(DATE_FILTERS, "timestamp", parameters=("timeZone", "existingFormat"))
def timestamp(value: Any, time_zone: Any = None, existing: Any = None) -> Any:
    """Seconds since 1970."""
    return None if value is None else _since_epoch(value, time_zone, existing)[0]


@entry(DATE_FILTERS, "timestampMilli", parameters=("timeZone", "existingFormat"))
def timestamp_milli(value: Any, time_zone: Any = None, existing: Any = None) -> Any:
    """Milliseconds since 1970."""
    if value is None:
        return None
    seconds, micros = _since_epoch(value, time_zone, existing)
    return seconds * 1000 + micros // 1000


@entry(DATE_FILTERS, "timestampMicro", parameters=("timeZone", "existingFormat"))
def timestamp_micro(value: Any, time_zone: Any = None, existing: Any = None) -> Any:
    """A quirk kept: nanoseconds of the second's start plus the microseconds of the second, as text."""
    if value is None:
        return None
    seconds, micros = _since_epoch(value, time_zone, existing)
    return str(seconds * 1_000_000_000 + micros)


@entry(DATE_FILTERS, "timestampNano", parameters=("timeZone", "existingFormat"))
def timestamp_nano(value: Any, time_zone: Any = None, existing: Any = None) -> Any:
    """Nanoseconds since 1970, as text."""
    if value is None:
        return None
    seconds, micros = _since_epoch(value, time_zone, existing)
    return str(seconds * 1_000_000_000 + micros * 1000)
