"""Time zones by the names Java accepts: regions, `UTC`, `Z`, `+02:00`, `GMT+2`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.errors import ExpressionFailed

_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?")
ZULU = timezone(timedelta(0), "Z")
"""Offset zero of a zoned date; `datetime.UTC` itself marks an instant."""


@lru_cache(maxsize=512)
def zone(name: str) -> tzinfo:
    """The zone of that name. Raises ExpressionFailed when there is none."""
    if name in ("Z", "UTC", "GMT", "UT"):
        return ZULU if name == "Z" else ZoneInfo("UTC")
    if found := _OFFSET.fullmatch(name):
        hours, minutes, seconds = (int(part or 0) for part in found.group(2, 3, 4))
        length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        if length <= timedelta(hours=18):
            return ZULU if not length else timezone(-length if found.group(1) == "-" else length)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionFailed(f"Unknown time-zone ID: {name}") from None


def shown_in(at: datetime, place: tzinfo | None) -> datetime:
    """An aware date in a zone; None is the server's own."""
    return at.astimezone(place)


def placed_in(at: datetime, place: tzinfo | None) -> datetime:
    """A local date given a zone without being moved; None is the server's own."""
    return at.astimezone() if place is None else at.replace(tzinfo=place)
