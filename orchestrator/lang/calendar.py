"""The dates of a trigger that has some: its own, shaped by its conditions on dates, in its zone, without those that are too late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from babel.dates import LOCALTZ

from orchestrator.lang.conditions import ConditionFailed, Conditions, Judge
from orchestrator.lang.functions.zones import zone
from orchestrator.model.values import Json
from orchestrator.sdk import DatedTrigger

MOST_TRIES = 1000  # dates looked at in one search; where it ends one is looked on from, when that date has come
HORIZON = timedelta(days=3653)  # beyond which no date is looked for that conditions let pass
_SECOND, _MOMENT = timedelta(seconds=1), timedelta(microseconds=1)
_EVER = datetime(1, 1, 2, tzinfo=UTC)  # before all dates

Judging = Callable[[Mapping[str, Json]], Judge]  # of the trigger's variables


@dataclass(frozen=True)
class Dates:
    """What an execution is started with."""

    date: datetime
    next: datetime | None = None
    previous: datetime | None = None

    def variables(self) -> dict[str, Json]:
        """As templates see them: ISO-8601 with the zone's offset; what is not there is left out."""
        found = {"date": self.date, "next": self.next, "previous": self.previous}
        return {name: written(at) for name, at in found.items() if at is not None}


def written(at: datetime) -> str:
    """A zoned date as text: `2024-05-01T09:00:00+02:00`, with `Z` for UTC."""
    text = at.isoformat(timespec="seconds" if not at.microsecond else "milliseconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


class Calendar:
    """Dates are in the trigger's zone. `judging` gives what conditions are tested on; what it reads it reads at once."""

    def __init__(self, trigger: DatedTrigger, conditions: Conditions, judging: Judging, *, most_tries: int = MOST_TRIES) -> None:
        self._trigger, self._conditions, self._judging, self._most_tries = trigger, conditions, judging, most_tries
        self._zone: tzinfo = zone(trigger.timezone) if trigger.timezone is not None else LOCALTZ

    # --- when it is due

    def begins(self, last: datetime | None, now: datetime) -> datetime | None:
        """When it is due first, from a change of its definition on; `last` is the last date it was due at, None: there was none."""
        if not self._trigger.catches_up:
            return self.next(now if last is None else max(last, now), now)
        return self.next(last, now) if last is not None else self._passing(_EVER, now)

    def next(self, last: datetime, now: datetime, *, however_late: bool = False) -> datetime | None:
        """When it is due after a date."""
        found = self._passing(last, now)
        return found if found is None or however_late else self.in_time(found, now)

    def at_or_after(self, date: datetime, now: datetime) -> datetime | None:
        """The first date that is not before that one."""
        return self._passing(_just_before(date), now)

    def in_time(self, date: datetime, now: datetime) -> datetime | None:
        """That date, or the first after it that is not too late."""
        longest = self._trigger.longest_delay
        if longest is None or date + longest >= now:
            return date
        return self._passing(_just_before(now - longest), now)

    def after_downtime(self, due: datetime, now: datetime) -> datetime | None:
        """When it is due, after a start of the server, where it was due at a date that has passed."""
        match self._trigger.recover_missed_schedules:
            case "NONE":
                return self.next(now, now)
            case "LAST":
                return max(due, self._passing(now + _MOMENT, now, back=True) or due)
        return due

    def previous(self, now: datetime) -> datetime | None:
        """The last date before that one."""
        return self._passing(now, now, back=True)

    # --- what it is started with

    def dates(self, at: datetime, now: datetime) -> Dates | None:
        """What an execution due at a date is started with; None when its conditions say no. Raises ConditionFailed when they cannot be tested."""
        own = self._own(at, now)
        if own is None:
            return None
        if not self._conditions.hold(self._judging(own.variables())):
            return None
        return Dates(own.date, self._passing(own.date, now), self._passing(own.date, now, back=True)) if self._conditions.dated else own

    def _own(self, at: datetime, now: datetime) -> Dates | None:
        """The dates as the trigger has them, whatever its conditions say."""
        date = self._trigger.next_date(_just_before(at).astimezone(self._zone))
        if date is None or date > now + _SECOND:
            return None
        return Dates(date, self._trigger.next_date(date), self._trigger.previous_date(date))

    # --- the search

    def _passing(self, start: datetime, now: datetime, *, back: bool = False) -> datetime | None:
        """The nearest date that the conditions on dates let pass; conditions that cannot be tested shape nothing."""
        step = self._trigger.previous_date if back else self._trigger.next_date
        found = step(start.astimezone(self._zone))
        if not self._conditions.dated:
            return found
        for _ in range(self._most_tries):
            if found is None or abs(found - now) > HORIZON:
                return None
            try:
                further = self._further(found, back=back)
            except ConditionFailed:
                return step(start.astimezone(self._zone))
            if further is None:
                return found
            found = step(further)
        return found

    def _further(self, date: datetime, *, back: bool) -> datetime | None:
        """From where to look on when a condition says no to a date: from the end of its day if it says so all day. None: all say yes."""
        own = Dates(date)
        if self._conditions.name_neighbours:
            own = Dates(date, self._trigger.next_date(date), self._trigger.previous_date(date))
        judge = self._judging(own.variables())
        refusing = next((one for one in self._conditions.dated if not judge.tests(one)), None)
        if refusing is None:
            return None
        if not refusing.whole_days():
            return date
        midnight = date.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if back else (midnight + timedelta(days=1)).replace(tzinfo=date.tzinfo) - _SECOND


def _just_before(date: datetime) -> datetime:
    """From where to look for the first date that is not before that one: dates are whole seconds."""
    return date if date.microsecond else date - _SECOND
