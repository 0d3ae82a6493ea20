"""Dates that users write, checked."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

_REGION = re.compile(r"\[[^\]]*\]$")


def instant_text(text: str, *, whole_day: bool) -> str:
    """The text of a date-time with a zone, or of a plain date. Raises ValueError for any other."""
    if whole_day and "T" not in text:
        return date.fromisoformat(text).isoformat()
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"`{text}` has no time zone")
    return text


def zoned(text: str) -> datetime:
    """A date-time with its zone: ISO-8601, of which the name of a zone in brackets counts no more. Raises ValueError."""
    found = datetime.fromisoformat(_REGION.sub("", text.strip()))
    if found.tzinfo is None:
        raise ValueError(f"`{text}` has no time zone")
    return found


def local_date(text: str) -> date:
    """The day that a date, or a date-time, writes. Raises ValueError."""
    return date.fromisoformat(text.strip()[:10])


def time_of_day(text: str) -> timedelta:
    """A time with an offset as the time since midnight in UTC; it may lie before that midnight or after the next. Raises ValueError."""
    found = time.fromisoformat(text.strip())
    if found.tzinfo is None:
        raise ValueError(f"`{text}` has no offset: write it as `16:19:12+02:00`")
    return since_midnight(found)


def since_midnight(at: time) -> timedelta:
    """The time since midnight in UTC, of a time with an offset."""
    clock = timedelta(hours=at.hour, minutes=at.minute, seconds=at.second, microseconds=at.microsecond)
    return clock - (at.utcoffset() or timedelta())
