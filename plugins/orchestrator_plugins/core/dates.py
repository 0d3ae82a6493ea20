"""Dates that users write, checked."""

from __future__ import annotations

from datetime import date, datetime


def instant_text(text: str, *, whole_day: bool) -> str:
    """The text of a date-time with a zone, or of a plain date. Raises ValueError for any other."""
    if whole_day and "T" not in text:
        return date.fromisoformat(text).isoformat()
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError(f"`{text}` has no time zone")
    return text
