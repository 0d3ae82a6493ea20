"""The dates of triggers: shaped by conditions, in their zone, without those that are too late, made up for after a stop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.lang.calendar import MOST_TRIES, Calendar, written
from orchestrator.lang.conditions import ConditionFailed, Conditions, Judge
from orchestrator.lang.expressions import Renderer
from orchestrator.model.values import Json

NOW = datetime(2024, 6, 15, 10, 20, 30, tzinfo=UTC)  # a Saturday
FIRST_MONDAY = {"type": "core.condition.DayWeekInMonth", "dayOfWeek": "MONDAY", "dayInMonth": "FIRST"}


class Counted:
    """Counts how often conditions are tested."""

    def __init__(self) -> None:
        self.times = 0

    def judging(self, dates: Mapping[str, Json]) -> Judge:
        self.times += 1
        return Judge(Renderer(), {"trigger": dict(dates)}, flow=("n", "f"))


def calendar(counted: Counted | None = None, kind: str = "Schedule", **properties: Any) -> Calendar:
    raw = {"id": "t", "type": f"core.trigger.{kind}", "timezone": "UTC", **properties}
    trigger = registry.load("trigger", raw["type"]).model_validate(raw)
    return Calendar(trigger, Conditions(trigger.all_conditions, trigger.when), (counted or Counted()).judging)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def texts(*dates: datetime | None) -> list[str | None]:
    return [written(one) if one is not None else None for one in dates]


def test_it_begins_with_the_first_date_from_now_and_never_with_one_it_has_had() -> None:
    hourly = calendar(cron="0 * * * *")
    assert texts(hourly.begins(None, NOW)) == ["2024-06-15T11:00:00Z"]
    assert texts(hourly.begins(NOW - timedelta(days=1), NOW)) == ["2024-06-15T11:00:00Z"]
    assert texts(hourly.begins(at("2024-06-15T13:00:00Z"), NOW)) == ["2024-06-15T14:00:00Z"]  # the clock has gone back


def test_dates_of_a_list_count_although_they_have_passed() -> None:
    dates = ["2024-06-15T10:22:30Z", "2024-06-15T12:19:30+02:00", "2024-06-15T10:21:30Z"]
    listed = calendar(kind="ScheduleOnDates", dates=dates, timezone="Europe/Paris")
    first = listed.begins(None, NOW)
    assert first is not None
    assert texts(first, listed.next(first, NOW)) == ["2024-06-15T12:19:30+02:00", "2024-06-15T12:21:30+02:00"]
    assert texts(listed.begins(first, NOW), listed.next(at("2024-06-15T10:22:30Z"), NOW)) == ["2024-06-15T12:21:30+02:00", None]
    found = listed.dates(first, NOW)
    assert found is not None
    assert texts(found.date, found.next, found.previous) == ["2024-06-15T12:19:30+02:00", "2024-06-15T12:21:30+02:00", None]


def test_conditions_on_dates_shape_those_before_and_after() -> None:
    mondays = calendar(cron="0 12 * * *", timezone="Europe/Paris", scheduleConditions=[FIRST_MONDAY])
    found = mondays.dates(at("2021-08-02T12:00:00+02:00"), NOW)
    assert found is not None
    assert found.variables() == {"date": "2021-08-02T12:00:00+02:00", "next": "2021-09-06T12:00:00+02:00", "previous": "2021-07-05T12:00:00+02:00"}
    assert mondays.dates(at("2021-08-09T12:00:00+02:00"), NOW) is None


def test_other_conditions_shape_no_date_but_keep_one_from_starting_anything() -> None:
    never = calendar(cron="0 * * * *", conditions=[{"type": "core.condition.Expression", "expression": "{{ false }}"}])
    assert texts(never.next(NOW, NOW)) == ["2024-06-15T11:00:00Z"]
    assert never.dates(at("2024-06-15T10:00:00Z"), NOW) is None
    with pytest.raises(ConditionFailed):
        calendar(cron="0 * * * *", when="{{ nope }}").dates(at("2024-06-15T10:00:00Z"), NOW)


def test_a_condition_that_cannot_be_tested_shapes_nothing() -> None:
    broken = calendar(cron="0 * * * *", conditions=[{"type": "core.condition.Weekend", "date": "{{ nope }}"}])
    assert texts(broken.next(NOW, NOW)) == ["2024-06-15T11:00:00Z"]


def test_conditions_may_name_the_dates_beside() -> None:
    raw = {"type": "core.condition.DateTimeBetween", "date": "{{ trigger.next }}", "after": "2024-06-15T20:30:00Z"}
    assert texts(calendar(cron="0 * * * *", conditions=[raw]).next(NOW, NOW)) == ["2024-06-15T20:00:00Z"]


def test_a_day_that_a_condition_refuses_is_passed_over_at_once() -> None:
    counted = Counted()
    mondays = calendar(counted, cron="* * * * *", conditions=[FIRST_MONDAY])
    assert texts(mondays.next(NOW, NOW), mondays.previous(NOW)) == ["2024-07-01T00:00:00Z", "2024-06-03T23:59:00Z"]
    assert counted.times < 40
    assert texts(calendar(cron="0 0 1 * *", conditions=[{**FIRST_MONDAY, "date": "2024-01-02"}]).next(NOW, NOW)) == [None]


def test_a_search_has_a_bound_and_goes_on_from_there() -> None:
    counted = Counted()
    evening = calendar(
        counted, cron="* * * * * *", withSeconds=True, conditions=[{"type": "core.condition.TimeBetween", "after": "10:59:59Z", "before": "11:00:01Z"}]
    )
    found, rounds = evening.next(NOW, NOW), 1
    while found is not None and evening.dates(found, found) is None:
        found, rounds = evening.next(found, found), rounds + 1
    assert texts(found) == ["2024-06-15T11:00:00Z"]
    assert rounds == 3
    assert counted.times <= (rounds + 2) * (MOST_TRIES + 1)  # two more for the dates beside


def test_dates_that_are_missed_by_too_much_are_left_out() -> None:
    minutes = calendar(cron="* * * * *", lateMaximumDelay="PT5M")
    assert texts(minutes.next(at("2024-06-15T10:05:30Z"), NOW)) == ["2024-06-15T10:16:00Z"]
    assert texts(minutes.in_time(at("2024-06-15T10:16:00Z"), NOW), minutes.in_time(at("2024-06-15T10:00:00Z"), NOW)) == ["2024-06-15T10:16:00Z"] * 2
    assert texts(minutes.next(at("2024-06-15T10:05:30Z"), NOW, however_late=True)) == ["2024-06-15T10:06:00Z"]


@pytest.mark.parametrize(("recover", "first"), [(None, "08:00"), ("ALL", "08:00"), ("LAST", "10:00"), ("NONE", "11:00")])
def test_after_a_stop_all_are_made_up_for_or_the_last_or_none(recover: str | None, first: str) -> None:
    hourly = calendar(cron="0 * * * *", recoverMissedSchedules=recover)
    assert texts(hourly.after_downtime(at("2024-06-15T08:00:00Z"), NOW)) == [f"2024-06-15T{first}:00Z"]


def test_the_zone_of_the_dates_is_the_triggers_and_an_offset_is_one_too() -> None:
    found = calendar(cron="0 9 * * *", timezone="America/New_York").next(NOW, NOW)
    assert texts(found, calendar(cron="0 9 * * *", timezone="+02:00").next(NOW, NOW)) == ["2024-06-15T09:00:00-04:00", "2024-06-16T09:00:00+02:00"]


def test_a_date_that_is_to_come_starts_nothing() -> None:
    assert calendar(cron="0 * * * *").dates(at("2024-06-15T11:00:00Z"), NOW) is None
