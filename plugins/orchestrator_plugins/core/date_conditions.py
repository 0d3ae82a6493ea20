"""Conditions on dates: by themselves on the date of the trigger. They shape the dates of a schedule."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from enum import StrEnum
from typing import ClassVar

from pydantic import Field, model_validator

from orchestrator.sdk import Condition, ConditionContext, Dynamic, Text
from orchestrator_plugins.core.dates import local_date, since_midnight, time_of_day, zoned
from orchestrator_plugins.core.public_holidays import is_public_holiday

ITS_DATE = "{{ trigger.date }}"
_ABOUT = "The date to look at; the trigger's own by default."


class DayName(StrEnum):
    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"

    @property
    def number(self) -> int:
        """From 0, as `date.weekday` counts."""
        return list(DayName).index(self)


class Place(StrEnum):
    """Which of the days of that name in a month."""

    FIRST = "FIRST"
    SECOND = "SECOND"
    THIRD = "THIRD"
    FOURTH = "FOURTH"
    LAST = "LAST"


class DateCondition(Condition):
    """Looks at one date."""

    dated: ClassVar[bool] = True
    by_day: ClassVar[bool] = False  # whether only the day counts

    at: Dynamic[Text] | None = Field(None, alias="date", description=_ABOUT, examples=[ITS_DATE, "2024-05-06T10:00:00Z"])

    def written(self, ctx: ConditionContext) -> str:
        """The text of the date."""
        return ctx.render_text(ITS_DATE) if self.at is None else ctx.render(self.at)

    def day(self, ctx: ConditionContext) -> date:
        """The day that it writes."""
        return local_date(self.written(ctx))

    def whole_days(self) -> bool:
        return self.by_day and self.at is None


class Bounded(DateCondition):
    """Looks at whether a date lies between two others, of which one may be missing."""

    before: Dynamic[Text] | None = None
    after: Dynamic[Text] | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Bounded:
        if self.before is None and self.after is None:
            raise ValueError("`before` or `after` must be given")
        return self


class DateTimeBetween(Bounded):
    """Holds for dates truly after `after` and truly before `before`: date-times with a zone."""

    def test(self, ctx: ConditionContext) -> bool:
        at, before, after = zoned(self.written(ctx)), ctx.render(self.before), ctx.render(self.after)
        return (before is None or at < zoned(before)) and (after is None or at > zoned(after))

    @model_validator(mode="after")
    def _readable(self) -> DateTimeBetween:
        for text in (self.before, self.after):
            if isinstance(text, str):
                zoned(text)
        return self


class TimeBetween(Bounded):
    """Holds for dates whose time of day is truly after `after` and truly before `before`: times with an offset."""

    def test(self, ctx: ConditionContext) -> bool:
        at, before, after = since_midnight(zoned(self.written(ctx)).timetz()), ctx.render(self.before), ctx.render(self.after)
        return (before is None or at < time_of_day(before)) and (after is None or at > time_of_day(after))

    @model_validator(mode="after")
    def _readable(self) -> TimeBetween:
        for text in (self.before, self.after):
            if isinstance(text, str):
                time_of_day(text)
        return self


class DayWeek(DateCondition):
    """Holds on one day of the week."""

    by_day: ClassVar[bool] = True

    day_of_week: Dynamic[DayName] = Field(description="The day of the week.", examples=["MONDAY"])

    def test(self, ctx: ConditionContext) -> bool:
        return self.day(ctx).weekday() == DayName(ctx.render(self.day_of_week)).number


class DayWeekInMonth(DateCondition):
    """Holds on the first, second, third, fourth or last Monday (or other day) of a month."""

    by_day: ClassVar[bool] = True

    day_of_week: Dynamic[DayName] = Field(description="The day of the week.", examples=["MONDAY"])
    day_in_month: Dynamic[Place] = Field(description="Which of these days in the month.", examples=["FIRST"])

    def test(self, ctx: ConditionContext) -> bool:
        day, place = self.day(ctx), Place(ctx.render(self.day_in_month))
        if day.weekday() != DayName(ctx.render(self.day_of_week)).number:
            return False
        if place is Place.LAST:
            return day.day + 7 > monthrange(day.year, day.month)[1]
        return (day.day - 1) // 7 == list(Place).index(place)


class Weekend(DateCondition):
    """Holds on Saturdays and Sundays."""

    by_day: ClassVar[bool] = True

    def test(self, ctx: ConditionContext) -> bool:
        return self.day(ctx).weekday() >= DayName.SATURDAY.number


class PublicHoliday(DateCondition):
    """Holds on the public holidays of a country."""

    by_day: ClassVar[bool] = True

    country: Dynamic[Text] | None = Field(None, description="ISO 3166-1 code of the country; US by default.", examples=["FR"])
    sub_division: Dynamic[Text] | None = Field(None, description="ISO 3166-2 code of a part of it, without the country's.", examples=["BE"])

    def test(self, ctx: ConditionContext) -> bool:
        return is_public_holiday(self.day(ctx), ctx.render(self.country), ctx.render(self.sub_division))
