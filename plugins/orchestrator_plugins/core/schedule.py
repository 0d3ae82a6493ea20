"""Triggers that have dates: those of a cron expression, or a list of them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from orchestrator.sdk import DatedTrigger, Duration, Json, PluginModel
from orchestrator_plugins.core.cron import Cron, cron_problem
from orchestrator_plugins.core.dates import zoned

_OFFSET = re.compile(r"Z|(UTC|GMT|UT)?[+-]\d{1,2}(:?\d{2})?")


def _is_zone(text: str) -> bool:
    """Whether it is a zone's name or an offset from UTC."""
    if _OFFSET.fullmatch(text):
        return True
    try:
        return bool(ZoneInfo(text))
    except (KeyError, ValueError, OSError):
        return False


class Zoned(DatedTrigger):
    """In a zone that is known."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and not _is_zone(zone):
            raise ValueError(f"'{zone}' is not a valid time-zone ID")
        return zone


class Backfill(PluginModel):
    """Past times to make up for. Older versions read it in a flow; now a backfill is asked for, and this says nothing."""

    start: str | None = None
    end: str | None = None
    current_date: str | None = None
    paused: bool = False
    inputs: Mapping[str, Json] | None = None
    labels: Json = None


class Schedule(Zoned):
    """Start an execution at the times a cron expression names."""

    cron: str = Field(description="Five cron fields (six with `withSeconds`), or a nickname.", examples=["0 9 * * 1-5", "@hourly"])
    with_seconds: bool = Field(False, description="Whether the expression has a first field for seconds.")
    late_maximum_delay: Duration | None = Field(None, description="Leave a time out when it is missed by more than this.", examples=["PT5M"])
    conditions: tuple[Mapping[str, Json], ...] = Field(
        (), description="What must hold for an execution to be started, all of it. Those on dates shape the dates before and after, too."
    )
    schedule_conditions: tuple[Mapping[str, Json], ...] = Field((), description="Older name of `conditions`; both count.")
    backfill: Backfill | None = None
    late_after: Duration | None = None

    @property
    def all_conditions(self) -> tuple[Mapping[str, Json], ...]:
        return (*self.conditions, *self.schedule_conditions)

    @property
    def longest_delay(self) -> timedelta | None:
        return self.late_maximum_delay

    @model_validator(mode="after")
    def _readable(self) -> Schedule:
        if problem := cron_problem(self.cron, with_seconds=self.with_seconds):
            raise ValueError(f"invalid cron expression '({self.cron}): {problem}'")
        return self

    @cached_property
    def _cron(self) -> Cron:
        return Cron(self.cron, with_seconds=self.with_seconds)

    def next_date(self, after: datetime) -> datetime | None:
        return self._cron.after(after)

    def previous_date(self, before: datetime) -> datetime | None:
        return self._cron.before(before)


class ScheduleOnDates(Zoned):
    """Start an execution at each of some dates, those that have passed when it is saved included."""

    catches_up: ClassVar[bool] = True

    dates: tuple[str, ...] = Field(min_length=1, description="Date-times with a zone.", examples=[["2030-01-01T09:00:00+01:00"]])

    @field_validator("dates")
    @classmethod
    def _readable(cls, dates: tuple[str, ...]) -> tuple[str, ...]:
        for text in dates:
            zoned(text)
        return dates

    @cached_property
    def _sorted(self) -> Sequence[datetime]:
        return sorted({zoned(text).astimezone(UTC).replace(microsecond=0) for text in self.dates})

    def next_date(self, after: datetime) -> datetime | None:
        at = bisect_right(self._sorted, after)
        return self._sorted[at].astimezone(after.tzinfo) if at < len(self._sorted) else None

    def previous_date(self, before: datetime) -> datetime | None:
        at = bisect_left(self._sorted, before)
        return self._sorted[at - 1].astimezone(before.tzinfo) if at else None
