"""Functions that look at a date's day: which it is, whether it is a weekend, which of its kind in the month, before or after another.

A day is the one written: `2025-01-06T00:30:00+02:00` is the 6th whatever day it is elsewhere.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Table, entry
from orchestrator.lang.functions.javadates import parse_any
from orchestrator.lang.functions.printing import to_text
from orchestrator.lang.functions.zones import ZULU

DAY_FUNCTIONS: Table = {}
_DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
_POSITIONS = ("FIRST", "SECOND", "THIRD", "FOURTH", "LAST")
_WEEK = timedelta(days=7)


@entry(DAY_FUNCTIONS, "dayOfWeek", parameters=("date",), required=1)
def day_of_week(value: Any) -> str:
    """The name of the day, in capitals: `MONDAY`."""
    return _DAYS[_day("dayOfWeek", value).weekday()]


@entry(DAY_FUNCTIONS, "dayOfMonth", parameters=("date",), required=1)
def day_of_month(value: Any) -> int:
    return _day("dayOfMonth", value).day


@entry(DAY_FUNCTIONS, "monthOfYear", parameters=("date",), required=1)
def month_of_year(value: Any) -> int:
    return _day("monthOfYear", value).month


@entry(DAY_FUNCTIONS, "hourOfDay", parameters=("date",), required=1)
def hour_of_day(value: Any) -> int:
    """The hour as it is written; a day without a time has none."""
    if not isinstance(value, datetime) and len(to_text(value)) <= len("2025-01-06"):
        raise ExpressionFailed(f"The 'hourOfDay' function could not parse '{to_text(value)}' as a date with a time")
    return _moment("hourOfDay", value).hour


@entry(DAY_FUNCTIONS, "isWeekend", parameters=("date",), required=1)
def is_weekend(value: Any) -> bool:
    return _day("isWeekend", value).weekday() >= _DAYS.index("SATURDAY")


@entry(DAY_FUNCTIONS, "isDayWeekInMonth", parameters=("date", "dayOfWeek", "position"), required=3)
def is_day_week_in_month(value: Any, day_of_week: Any, position: Any) -> bool:
    """Whether a date is the first, second, third, fourth or last such day of its month."""
    day, wanted, which = _day("isDayWeekInMonth", value), to_text(day_of_week).upper(), to_text(position).upper()
    _one_of("isDayWeekInMonth", "dayOfWeek", wanted, _DAYS)
    _one_of("isDayWeekInMonth", "position", which, _POSITIONS)
    is_so = (day + _WEEK).month != day.month if which == "LAST" else (day.day - 1) // 7 == _POSITIONS.index(which)
    return is_so and _DAYS[day.weekday()] == wanted


@entry(DAY_FUNCTIONS, "isLastWorkingDay", parameters=("date", "workingDays"), required=1)
def is_last_working_day(value: Any, working_days: Any = None) -> bool:
    """Whether no later day of its month is one of these days: Monday to Friday, when none are named (`'MONDAY,TUESDAY'`)."""
    day = _day("isLastWorkingDay", value)
    named = [name.upper() for name in re.split(r"[,\s]+", to_text(working_days)) if name] or list(_DAYS[:5])
    for name in named:
        _one_of("isLastWorkingDay", "workingDays", name, _DAYS)
    working = {_DAYS.index(name) for name in named}
    later = [day + timedelta(days=number) for number in range(1, 7)]
    return day.weekday() in working and not any(one.month == day.month and one.weekday() in working for one in later)


@entry(DAY_FUNCTIONS, "isDateBefore", parameters=("date", "reference"), required=2)
def is_date_before(value: Any, reference: Any) -> bool:
    return _moment("isDateBefore", value) < _moment("isDateBefore", reference)


@entry(DAY_FUNCTIONS, "isDateAfter", parameters=("date", "reference"), required=2)
def is_date_after(value: Any, reference: Any) -> bool:
    return _moment("isDateAfter", value) > _moment("isDateAfter", reference)


@entry(DAY_FUNCTIONS, "isDateBetween", parameters=("date", "after", "before"), required=3)
def is_date_between(value: Any, after: Any, before: Any) -> bool:
    """Whether a moment lies between two others; neither bound does itself."""
    first, at, last = (_moment("isDateBetween", one) for one in (after, value, before))
    return first < at < last


def _day(name: str, value: Any) -> date:
    return _moment(name, value).date()


def _moment(name: str, value: Any) -> datetime:
    """What has no offset is of UTC."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=ZULU)
    try:
        return parse_any(to_text(value), ZULU)
    except ExpressionFailed:
        raise ExpressionFailed(f"The '{name}' function could not parse '{to_text(value)[:100]}' as a date") from None


def _one_of(name: str, argument: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ExpressionFailed(f"The argument '{argument}' of '{name}' must be one of {', '.join(known)}, not '{value[:100]}'")
