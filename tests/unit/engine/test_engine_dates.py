"""Triggers with dates: each is due once, whatever happens and wherever the clock stands; what was missed is made up for as asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.engine.schedule import decide, may_go, waits_until
from orchestrator.engine.trigger_events import (
    Asked,
    BackfillAsked,
    Definition,
    Ended,
    Event,
    ExecutionOver,
    Fell,
    How,
    Kind,
    Late,
    Lost,
    Placed,
    Saved,
    ServerBegan,
    Standing,
    Verb,
)
from orchestrator.engine.trigger_reasons import TriggerReasonKind, reason_of
from orchestrator.model.state import State
from orchestrator.model.trigger import Backfill, TriggerState

NAME = ("house", "flow", "t")
ZERO = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Minutes:
    """Every minute, and no other date; `recover` as the trigger says, `delay` the longest."""

    recover: str = "ALL"
    delay: timedelta | None = None

    def next(self, last: datetime, now: datetime, *, however_late: bool = False) -> datetime | None:
        found = last.replace(second=0, microsecond=0) + MINUTE
        return found if however_late else self.in_time(found, now)

    def begins(self, last: datetime | None, now: datetime) -> datetime | None:
        return self.next(now if last is None else max(last, now), now)

    def at_or_after(self, date: datetime, now: datetime) -> datetime | None:
        return date if (date.second, date.microsecond) == (0, 0) else self.next(date, now, however_late=True)

    def in_time(self, date: datetime, now: datetime) -> datetime | None:
        while self.delay is not None and date + self.delay < now:
            date += MINUTE
        return date

    def after_downtime(self, due: datetime, now: datetime) -> datetime | None:
        return {"ALL": due, "LAST": max(due, now.replace(second=0, microsecond=0)), "NONE": self.next(now, now)}[self.recover]


@dataclass
class Story:
    """One trigger, its clock, and the dates that started something."""

    minutes: Minutes = field(default_factory=Minutes)
    concurrent: bool = True
    enabled: bool = True
    now: datetime = ZERO + timedelta(seconds=30)
    standing: Standing = field(default_factory=Standing)
    fired: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tell(Saved(NAME))

    @property
    def definition(self) -> Definition:
        return Definition(Kind.DATES, enabled=self.enabled, concurrent=self.concurrent, stop_after=(State.FAILED,), calendar=self.minutes)

    @property
    def state(self) -> TriggerState:
        assert self.standing.state is not None
        return self.standing.state

    def tell(self, event: Event) -> Story:
        self.standing = decide(self.standing, event, self.definition, self.now).standing
        return self

    def until(self, minute: float) -> Story:
        self.now = ZERO + minute * MINUTE
        return self

    def see(self) -> Story:
        """As the executor does: see to all that is due."""
        while may_go(self.standing, self.definition, self.now):
            due = self.state.next_execution_date
            assert due is not None
            active = self.state.backfill is not None and not self.state.backfill.paused
            if not active and self.minutes.in_time(due, self.now) != due:
                self.tell(Late())
                continue
            self.fired.append(due)
            self.tell(Fell(due, f"e{len(self.fired)}"))
        return self

    @property
    def numbers(self) -> list[float]:
        return [(date - ZERO) / MINUTE for date in self.fired]

    def backfill(self, start: float, end: float) -> Story:
        dates = ZERO + start * MINUTE, ZERO + end * MINUTE
        return self.tell(BackfillAsked(Backfill(start=dates[0], end=dates[1], current_date=dates[0])))


def test_every_date_is_due_once_and_in_order() -> None:
    story = Story().see().until(1).see().see().until(3.5).see()
    assert story.numbers == [1, 2, 3]
    assert (story.state.next_execution_date, story.state.date) == (ZERO + 4 * MINUTE, ZERO + 3 * MINUTE)


def test_a_clock_that_goes_back_brings_no_date_again() -> None:
    story = Story().until(3).see().until(1).see().tell(Saved(NAME)).tell(Asked(Verb.DISABLE)).tell(Asked(Verb.ENABLE)).see().until(4).see()
    assert story.numbers == [1, 2, 3, 4]


def test_the_next_waits_for_the_execution_of_the_last_and_none_is_lost() -> None:
    story = Story(concurrent=False).until(3.5).see()
    assert story.numbers == [1]
    assert reason_of(story.standing, story.definition, story.now).kind is TriggerReasonKind.WAITING_FOR_EXECUTION
    story.tell(ExecutionOver("e1", State.SUCCESS)).see()
    assert story.numbers == [1, 2]
    story.tell(Asked(Verb.UNLOCK)).see()
    assert story.numbers == [1, 2, 3]


def test_an_execution_that_ends_as_it_should_not_disables_it() -> None:
    story = Story(concurrent=False).until(1).see().tell(ExecutionOver("e1", State.FAILED)).until(5).see()
    assert (story.numbers, story.state.disabled) == ([1], True)


def test_what_is_disabled_for_a_while_does_not_make_up_for_it() -> None:
    story = Story().until(1).see().tell(Asked(Verb.DISABLE)).until(5.5).see().tell(Asked(Verb.ENABLE)).see().until(6).see()
    assert story.numbers == [1, 6]


def test_what_was_missed_while_the_server_was_down_is_made_up_for_as_it_says() -> None:
    for recover, expected in (("ALL", [1, 2, 3, 4, 5]), ("LAST", [1, 4, 5]), ("NONE", [1, 5])):
        story = Story(Minutes(recover)).until(1).see().until(4.5).tell(ServerBegan()).see().until(5).see()
        assert story.numbers == expected, recover


def test_a_start_with_nothing_missed_changes_nothing() -> None:
    for recover in ("ALL", "LAST", "NONE"):
        assert Story(Minutes(recover)).until(1).see().tell(ServerBegan()).until(2).see().numbers == [1, 2]


def test_a_date_that_is_too_late_is_left_out() -> None:
    assert Story(Minutes(delay=MINUTE)).until(1).see().until(10.5).see().numbers == [1, 10]


def test_a_backfill_makes_up_for_dates_before_its_own_go_on() -> None:
    story = Story().until(10.5).see()
    story.fired.clear()
    story.backfill(2, 4.5).see()
    assert (story.numbers, story.state.backfill, story.state.next_execution_date) == ([2, 3, 4], None, ZERO + 11 * MINUTE)
    assert story.until(11).see().numbers == [2, 3, 4, 11]


def test_a_backfill_is_paused_gone_on_with_and_given_up() -> None:
    story = Story(concurrent=False).until(10.5).tell(ServerBegan())
    story = Story(Minutes("NONE"), concurrent=False).until(10.5).tell(ServerBegan()).backfill(2, 6).see()
    assert story.numbers == [2]
    story.tell(ExecutionOver("e1", State.SUCCESS)).tell(Asked(Verb.PAUSE_BACKFILL)).see().until(11).see()
    assert story.numbers == [2, 11]  # its own dates go on meanwhile
    assert story.state.backfill is not None
    assert reason_of(story.standing, story.definition, story.now).kind is TriggerReasonKind.WAITING_FOR_EXECUTION
    story.tell(ExecutionOver("e2", State.SUCCESS)).tell(Asked(Verb.UNPAUSE_BACKFILL)).see()
    assert story.numbers == [2, 11, 3]
    story.tell(ExecutionOver("e3", State.SUCCESS)).tell(Asked(Verb.DELETE_BACKFILL)).until(12).see()
    assert story.numbers == [2, 11, 3, 12]


def test_dates_that_come_while_a_backfill_goes_on_come_after_it() -> None:
    story = Story().until(5.5).see()
    story.fired.clear()
    story.backfill(1, 2).until(7.5).see()
    assert story.numbers == [1, 2, 6, 7]


def test_a_restart_of_the_server_changes_nothing_about_a_backfill() -> None:
    story = Story(Minutes("NONE")).until(5.5).tell(ServerBegan()).backfill(1, 3).until(8.5).tell(ServerBegan()).see().until(9).see()
    assert story.numbers == [1, 2, 3, 9]


def test_a_backfill_without_a_date_is_over_at_once() -> None:
    story = Story().until(5.5).see().backfill(2.2, 2.8)
    assert (story.state.backfill, story.state.next_execution_date) == (None, ZERO + 6 * MINUTE)


def test_a_trigger_of_a_disabled_flow_has_no_date() -> None:
    story = Story(enabled=False)
    assert waits_until(story.standing, story.definition) is None
    story.enabled = True
    assert story.tell(Saved(NAME)).state.next_execution_date == ZERO + MINUTE


@pytest.mark.parametrize("how", [Ended(0, How.STOPPED), Ended(0, How.LOOKED, "e9"), Lost("w1")])
@pytest.mark.parametrize("kind", [Kind.DATES, Kind.HEARS, Kind.CALLED])
def test_what_has_become_another_kind_of_trigger_waits_for_its_old_evaluation_and_keeps_its_dates(kind: Kind, how: Ended | Lost) -> None:
    looks, now = Definition(Kind.POLL), ZERO
    standing = decide(Standing(), Saved(NAME), looks, now).standing
    standing = decide(standing, Placed("w1", "e9"), looks, now).standing
    assert standing.state is not None
    event = how if isinstance(how, Lost) else Ended(standing.state.lease, how.how, how.execution_id)
    now_it_is = Definition(kind, calendar=Minutes() if kind is Kind.DATES else None)
    verdict = decide(standing, Saved(NAME), now_it_is, now)
    assert verdict.halt is not None
    assert waits_until(verdict.standing, now_it_is) is None
    ended = decide(verdict.standing, event, now_it_is, now).standing
    assert waits_until(ended, now_it_is) == (ZERO + MINUTE if kind is Kind.DATES else None)


class World(RuleBasedStateMachine):
    """A trigger to which anything may happen, killed and started again, by a clock that goes where it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.story = Story(concurrent=False)
        self.saved = self.story.standing  # what the store holds: all that a killed executor leaves
        self.own: list[datetime] = []

    def keep(self) -> None:
        self.saved = self.story.standing

    @rule(minutes=st.integers(-3, 5), seconds=st.integers(0, 59))
    def the_clock_is_set(self, minutes: int, seconds: int) -> None:
        self.story.now = max(ZERO, self.story.now + minutes * MINUTE).replace(second=seconds)

    @rule(saved=st.booleans())
    def a_date_is_seen_to(self, saved: bool) -> None:
        """Saved with what it starts, or killed before: then neither is there."""
        story = self.story
        if not may_go(story.standing, story.definition, story.now):
            return
        due, active = story.state.next_execution_date, story.state.backfill is not None and not story.state.backfill.paused
        assert due is not None
        story.tell(Fell(due, f"e{len(self.own)}"))
        if not saved:
            story.standing = self.saved
            story.tell(ServerBegan())
        elif not active:
            assert due not in self.own, f"{due} came twice"
            assert not self.own or due > self.own[-1]
            self.own.append(due)
        self.keep()

    @rule()
    def its_execution_ends(self) -> None:
        if self.story.state.execution_id is not None:
            self.story.tell(ExecutionOver(self.story.state.execution_id, State.SUCCESS))
            self.keep()

    @rule(verb=st.sampled_from(Verb))
    def somebody_asks(self, verb: Verb) -> None:
        self.story.tell(Asked(verb))
        self.keep()

    @rule(changed=st.booleans())
    def its_flow_is_saved(self, changed: bool) -> None:
        self.story.tell(Saved(NAME, changed))
        self.keep()

    @rule(start=st.integers(0, 20), length=st.integers(1, 5))
    def a_backfill_is_asked_for(self, start: int, length: int) -> None:
        end = ZERO + (start + length) * MINUTE
        if end <= self.story.now:
            self.story.backfill(start, start + length)
            self.keep()

    @invariant()
    def it_never_is_without_a_date(self) -> None:
        assert self.story.state.next_execution_date is not None


def test_no_order_of_events_brings_a_date_twice() -> None:
    case = World.TestCase
    case.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
    case().runTest()
