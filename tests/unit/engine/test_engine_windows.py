"""Windows of time: where they lie around a moment, and when all that must come together has."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestrator.engine.windows import bounds_at, come
from orchestrator.model.trigger import OpenWindow
from orchestrator.sdk import Gathering, TimeWindow, WindowKind

PARIS = ZoneInfo("Europe/Paris")
NOW = datetime(2024, 6, 15, 10, 47, 30, tzinfo=UTC)


def bounds(now: datetime = NOW, place: Any = UTC, **window: Any) -> tuple[str, str] | None:
    found = bounds_at(TimeWindow.model_validate(window), now, place)
    return None if found is None else (found[0].isoformat(timespec="seconds")[5:16], found[1].isoformat(timespec="seconds")[5:16])


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, ("06-15T00:00", "06-15T23:59")),
        ({"window": "PT1H"}, ("06-15T10:00", "06-15T10:59")),
        ({"window": "PT6H"}, ("06-15T10:00", "06-15T15:59")),
        ({"window": "PT15M"}, ("06-15T10:45", "06-15T10:59")),
        ({"window": "P1D", "windowAdvance": "PT4H30M"}, ("06-15T04:30", "06-16T04:29")),
        ({"window": "P1D", "windowAdvance": "PT12H"}, ("06-14T12:00", "06-15T11:59")),
        ({"window": "P7D"}, ("06-15T00:00", "06-21T23:59")),
        ({"type": "SLIDING_WINDOW", "window": "PT1H"}, ("06-15T10:47", "06-15T11:47")),
        ({"type": "SLIDING_WINDOW"}, ("06-15T10:47", "06-16T10:47")),
        ({"type": "DAILY_TIME_DEADLINE", "deadline": "11:00:00"}, ("06-15T00:00", "06-15T11:00")),
        ({"type": "DAILY_TIME_DEADLINE", "deadline": "09:00:00"}, None),
        ({"type": "DAILY_TIME_WINDOW", "startTime": "10:00", "endTime": "11:00"}, ("06-15T10:00", "06-15T11:00")),
        ({"type": "DAILY_TIME_WINDOW", "startTime": "11:00", "endTime": "12:00"}, None),
        ({"type": "DAILY_TIME_WINDOW", "startTime": "22:00", "endTime": "11:00"}, ("06-14T22:00", "06-15T11:00")),
    ],
)
def test_where_a_window_lies(window: dict[str, Any], expected: tuple[str, str] | None) -> None:
    assert bounds(**window) == expected


def test_midnight_and_times_of_day_are_those_of_the_zone() -> None:
    late = datetime(2024, 6, 15, 23, 30, tzinfo=UTC)
    assert bounds(late, PARIS) == ("06-16T00:00", "06-16T23:59")
    assert bounds(late, PARIS, type="DAILY_TIME_DEADLINE", deadline="02:00") == ("06-16T00:00", "06-16T02:00")


@given(
    st.integers(946684800, 1893456000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.integers(1, 3 * 86400),
    st.integers(-86400, 86400),
)
def test_a_window_lies_around_its_moment(now: datetime, length: int, advance: int) -> None:
    found = bounds_at(TimeWindow(window=timedelta(seconds=length), window_advance=timedelta(seconds=advance)), now, PARIS)
    if found is not None:  # a moment may fall into the hour that clocks leave out, or the last millisecond
        assert found[0] <= now < found[1]


GATHERING = Gathering(id="g", parts={"a": {}, "b": {}})


def test_all_parts_must_come_within_one_window_in_any_order() -> None:
    first = come(GATHERING, None, frozenset("a"), {"x": 1}, NOW, UTC)
    assert (first.complete, first.window and first.window.met) == (False, ("a",))
    again = come(GATHERING, first.window, frozenset("a"), {"x": 2}, NOW, UTC)
    assert not again.complete
    last = come(GATHERING, again.window, frozenset("b"), {"y": 3}, NOW + timedelta(hours=1), UTC)
    assert (last.complete, last.window, last.outputs) == (True, None, {"x": 2, "y": 3})


def test_what_came_in_a_window_that_is_over_counts_no_more() -> None:
    first = come(GATHERING, None, frozenset("a"), {}, NOW, UTC)
    later = come(GATHERING, first.window, frozenset("b"), {}, NOW + timedelta(days=1), UTC)
    assert (later.complete, later.window and later.window.met) == (False, ("b",))


def test_outside_a_daily_window_nothing_counts() -> None:
    gathering = Gathering(id="g", parts={"a": {}}, window=TimeWindow(type=WindowKind.DAILY_DEADLINE, deadline=time(9)))
    assert come(gathering, None, frozenset("a"), {}, NOW, UTC).complete is False
    assert come(gathering, None, frozenset("a"), {}, NOW.replace(hour=8), UTC).complete is True


def test_what_is_not_reset_is_complete_with_everything_more_that_comes() -> None:
    gathering = Gathering(id="g", parts={"a": {}, "b": {}}, reset=False)
    first = come(gathering, None, frozenset("ab"), {}, NOW, UTC)
    assert first.complete
    assert come(gathering, first.window, frozenset("a"), {}, NOW, UTC).complete
    assert not come(gathering, first.window, frozenset(), {}, NOW, UTC).complete


def test_some_of_the_parts_may_be_enough() -> None:
    gathering = Gathering(id="g", parts={"a": {}, "b": {}, "c": {}}, needed=2)
    first = come(gathering, None, frozenset("a"), {}, NOW, UTC)
    assert not first.complete
    assert come(gathering, first.window, frozenset("c"), {}, NOW, UTC).complete


def test_parts_that_are_no_longer_declared_do_not_count() -> None:
    old = OpenWindow(start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1), met=("a", "gone"))
    assert come(GATHERING, old, frozenset("b"), {}, NOW, UTC).complete
    assert not come(GATHERING, old.model_copy(update={"met": ("gone",)}), frozenset("b"), {}, NOW, UTC).complete


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"type": "DAILY_TIME_DEADLINE"}, "must have a deadline"),
        ({"type": "DAILY_TIME_WINDOW", "startTime": "06:00"}, "must have an end time"),
        ({"type": "SLIDING_WINDOW", "deadline": "06:00"}, "cannot have a deadline"),
        ({"window": "PT0S"}, "longer than nothing"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(window: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TimeWindow.model_validate(window)
