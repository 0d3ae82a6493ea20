"""The dates of cron expressions: fields, nicknames, seconds, and the days on which clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator_plugins.core.cron import Cron, cron_problem

PARIS = ZoneInfo("Europe/Paris")  # 2024: forward on 31 March at 2:00, back on 27 October at 3:00


def after(expression: str, start: str, count: int = 3, *, zone: str = "UTC", with_seconds: bool = False) -> list[str]:
    cron, date, found = Cron(expression, with_seconds=with_seconds), datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)), list[str]()
    while len(found) < count:
        following = cron.after(date)
        assert following is not None
        date = following
        found.append(date.isoformat(timespec="seconds"))
    return found


def before(expression: str, start: str, *, zone: str = "UTC", with_seconds: bool = False) -> str:
    found = Cron(expression, with_seconds=with_seconds).before(datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)))
    assert found is not None
    return found.isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 9 * * 1-5", "2024-05-06T09:00:00+00:00"),
        ("@hourly", "2024-05-04T13:00:00+00:00"),
        ("@weekly", "2024-05-05T00:00:00+00:00"),
        ("@MONTHLY", "2024-06-01T00:00:00+00:00"),
        ("@yearly", "2025-01-01T00:00:00+00:00"),
        ("*/20 * * * *", "2024-05-04T12:20:00+00:00"),
        ("0 0 ? * SAT-SUN", "2024-05-05T00:00:00+00:00"),
        ("0 0 * * 7", "2024-05-05T00:00:00+00:00"),
        ("0 0 L * *", "2024-05-31T00:00:00+00:00"),
        ("0 0 * FEB MON#1", "2025-02-03T00:00:00+00:00"),
        ("0 0 13 * 5", "2024-05-10T00:00:00+00:00"),  # the 13th, and Fridays too
    ],
)
def test_fields_mean_what_they_do_in_cron(expression: str, first: str) -> None:
    assert cron_problem(expression) is None
    assert after(expression, "2024-05-04T12:03:30", 1) == [first]


@pytest.mark.parametrize(
    "expression", ["* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "0 0 32 * *", "0 0 31 2 *", "@often", "a b c d e", "*/0 * * * *", ""]
)
def test_what_is_no_expression_is_told(expression: str) -> None:
    assert cron_problem(expression)


def test_seconds_come_first() -> None:
    assert cron_problem("* * * * *", with_seconds=True)
    assert after("*/25 * * * * *", "2024-05-04T12:03:30", with_seconds=True) == [f"2024-05-04T12:{rest}+00:00" for rest in ("03:50", "04:00", "04:25")]
    assert after("15 0 * * * *", "2024-05-04T12:00:15", 1, with_seconds=True) == ["2024-05-04T13:00:15+00:00"]
    assert before("15 0 * * * *", "2024-05-04T12:00:15", with_seconds=True) == "2024-05-04T11:00:15+00:00"


def test_a_date_is_truly_before_or_after() -> None:
    assert before("0 12 * * *", "2024-05-04T12:00:00") == "2024-05-03T12:00:00+00:00"
    assert before("0 12 * * *", "2024-05-04T12:00:00.000001") == "2024-05-04T12:00:00+00:00"
    assert after("0 12 * * *", "2024-05-04T12:00:00", 1) == ["2024-05-05T12:00:00+00:00"]


@pytest.mark.parametrize("seconds", ["", "0 "])
def test_what_falls_into_the_hour_that_is_left_out_comes_right_after_it(seconds: str) -> None:
    found = after(f"{seconds}30 2 * * *", "2024-03-30T12:00:00", 2, zone="Europe/Paris", with_seconds=bool(seconds))
    assert found == ["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"]


@pytest.mark.parametrize("seconds", ["", "0 "])
def test_what_names_an_hour_that_comes_twice_comes_once(seconds: str) -> None:
    found = after(f"{seconds}30 2 * * *", "2024-10-26T12:00:00", 2, zone="Europe/Paris", with_seconds=bool(seconds))
    assert found == ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]


def test_what_comes_every_hour_comes_in_both() -> None:
    found = after("0 * * * *", "2024-10-27T01:30:00", 3, zone="Europe/Paris")
    assert found == ["2024-10-27T02:00:00+02:00", "2024-10-27T02:00:00+01:00", "2024-10-27T03:00:00+01:00"]
    assert after("0 * * * *", "2024-03-31T01:30:00", 1, zone="Europe/Paris") == ["2024-03-31T03:00:00+02:00"]
