"""Windows of time in which things must come together, and what has come so far. Pure: the clock and the zone are arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from orchestrator.model.trigger import OpenWindow
from orchestrator.model.values import Json
from orchestrator.sdk import Gathering, TimeWindow, WindowKind

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Come:
    """What is so once something has come: the window to keep (None: none), whether all has, and the outputs of all that came."""

    window: OpenWindow | None
    complete: bool = False
    outputs: Mapping[str, Json] | None = None


def come(gathering: Gathering, open_window: OpenWindow | None, met: frozenset[str], outputs: Mapping[str, Json], now: datetime, place: tzinfo) -> Come:
    """What an execution that meets some parts makes of a gathering. Outside the times of a daily window nothing counts."""
    window = open_window if open_window is not None and open_window.start <= now < open_window.end else None
    if not met:
        return Come(window)
    if window is None:
        bounds = bounds_at(gathering.window, now, place)
        if bounds is None:
            return Come(None)
        window = OpenWindow(start=bounds[0], end=bounds[1])
    together = tuple(sorted({*window.met, *met} & gathering.parts.keys()))
    window = window.model_copy(update={"met": together, "outputs": {**window.outputs, **outputs}})
    if not gathering.complete(frozenset(together)):
        return Come(window)
    return Come(None if gathering.reset else window, complete=True, outputs=window.outputs)


def bounds_at(window: TimeWindow, now: datetime, place: tzinfo) -> tuple[datetime, datetime] | None:
    """The window that lies around a moment, from its start up to its end; None where a daily window is not open.

    `place` is the zone of midnight.
    """
    local = now.astimezone(place)
    match window.type:
        case WindowKind.SLIDING:
            start = now.replace(microsecond=0)
            return start, start + (window.window or DAY)
        case WindowKind.DAILY_DEADLINE:
            bounds = _at(local, time()), _at(local, window.deadline or time())
        case WindowKind.DAILY:
            bounds = _daily(local, window.start_time or time(), window.end_time or time())
        case WindowKind.DURATION:
            bounds = _in_turn(local, window.window or DAY, window.window_advance or timedelta())
    return bounds if bounds[0] <= now < bounds[1] else None


def _at(local: datetime, clock: time) -> datetime:
    """That time on the same day."""
    return local.replace(hour=clock.hour, minute=clock.minute, second=clock.second, microsecond=0)


def _daily(local: datetime, begins: time, ends: time) -> tuple[datetime, datetime]:
    """Between two times of day; where the second is not the later one, it is that of the next day."""
    start, end = _at(local, begins), _at(local, ends)
    if start < end:
        return start, end
    return (start, end + DAY) if local >= start else (start - DAY, end)


def _in_turn(local: datetime, length: timedelta, advance: timedelta) -> tuple[datetime, datetime]:
    """Windows of a day or more begin at midnight, of an hour or more with an hour, shorter ones so often in an hour."""
    start = local.replace(microsecond=0)
    if length >= DAY:
        start = start.replace(hour=0)
    if length >= HOUR:
        start = start.replace(minute=0)
    if length >= MINUTE:
        minutes = length // MINUTE
        start = start.replace(second=0, minute=minutes * (start.minute // minutes))
    start += advance
    if start > local:  # then one before is the one that is open
        start -= length * -((local - start) // length)
    return start, start + length - _TICK
