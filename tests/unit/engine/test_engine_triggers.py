"""When a trigger is evaluated, what becomes of it, where it goes, and why it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine_driving import EPOCH, SECOND

from orchestrator.engine.schedule import FIRST_PAUSE, LONGEST_PAUSE, RECEIPT, RENEWAL, STOP_AGAIN, decide, may_go, next_moment, waits_until
from orchestrator.engine.trigger_events import (
    Asked,
    Definition,
    Emitted,
    Ended,
    Event,
    ExecutionOver,
    Halt,
    How,
    Kind,
    Leaving,
    Lost,
    Missed,
    Placed,
    Rang,
    Received,
    Removed,
    Saved,
    Skipped,
    Standing,
    Told,
    Verb,
)
from orchestrator.engine.trigger_placing import Held
from orchestrator.engine.trigger_reasons import reason_of
from orchestrator.model.execution import Cause
from orchestrator.model.state import State
from orchestrator.model.trigger import TriggerState

NAME = ("house", "flow", "t")
POLL = Definition(Kind.POLL, interval=10 * SECOND, timeout=30 * SECOND, stop_after=(State.FAILED,))
LISTEN = Definition(Kind.LISTEN)


class Story:
    """One trigger and what happens to it, second by second."""

    def __init__(self, definition: Definition = POLL) -> None:
        self.definition: Definition | None = definition
        self.standing, self.now, self.halts = Standing(), EPOCH, list[Halt]()
        self.tell(Saved(NAME))

    def tell(self, event: Event, after: float = 0) -> Story:
        self.now += timedelta(seconds=after)
        verdict = decide(self.standing, event, self.definition, self.now)
        self.standing = verdict.standing
        self.halts += [verdict.halt] if verdict.halt is not None else []
        return self

    def placed(self, worker: str = "w1") -> Story:
        return self.tell(Placed(worker, f"e{self.seconds:.0f}"))

    @property
    def state(self) -> TriggerState:
        assert self.standing.state is not None
        return self.standing.state

    @property
    def lease(self) -> int:
        return self.state.lease

    @property
    def seconds(self) -> float:
        return (self.now - EPOCH).total_seconds()

    @property
    def due(self) -> float | None:
        """When it is evaluated next, in seconds of the story."""
        assert self.definition is not None
        at = waits_until(self.standing, self.definition)
        return (at - EPOCH).total_seconds() if at is not None else None


def test_a_trigger_is_due_as_soon_as_its_flow_is_saved() -> None:
    story = Story()
    assert (story.due, may_go(story.standing, POLL, story.now)) == (0, True)


@pytest.mark.parametrize("definition", [Definition(Kind.POLL, enabled=False), Definition(Kind.POLL, obstacle="its conditions")])
def test_one_that_is_disabled_or_cannot_be_evaluated_is_never_due(definition: Definition) -> None:
    assert (Story(definition).due, Story(definition).state.next_execution_date) == (None, None)


def test_an_evaluation_shows_who_evaluates_since_when() -> None:
    story = Story().placed("w7")
    assert (story.state.worker_id, story.state.evaluate_running_date, story.due) == ("w7", EPOCH, None)
    assert story.state.evaluation is not None
    assert (story.state.evaluation.id, story.state.evaluation.due) == ("e0", EPOCH + POLL.timeout)


def test_an_evaluation_is_not_placed_twice() -> None:
    story = Story().placed("w1")
    assert story.placed("w2").state.worker_id == "w1"


def test_leases_grow_also_when_a_trigger_goes_and_comes_again() -> None:
    story = Story().placed()
    first = story.lease
    story.tell(Ended(first, How.LOOKED), after=1).tell(Removed()).tell(Saved(NAME), after=1).placed()
    assert story.lease > first


@pytest.mark.parametrize(
    ("how", "due"),
    [(How.LOOKED, 13), (How.FAILED, 13), (How.TIMEOUT, 13), (How.HANDED_BACK, 3), (How.STOPPED, 0)],
)
def test_a_look_that_has_ended_is_followed_by_one_an_interval_later_or_at_once(how: How, due: float) -> None:
    story = Story().placed()
    story.tell(Ended(story.lease, how), after=3)
    assert (story.due, story.state.date, story.state.worker_id, story.state.evaluate_running_date) == (due, EPOCH, None, None)


def test_what_an_old_lease_says_changes_nothing() -> None:
    story = Story().placed()
    old = story.lease
    story.tell(Lost("w1"), after=1).tell(Rang(), after=1).placed("w2")
    now = story.standing
    for event in (Received(old), Ended(old, How.LOOKED, "x"), Emitted(old, 1), Told(old, 5), Lost("w1")):
        assert story.tell(event).standing == now


def test_a_polling_trigger_waits_for_the_execution_it_has_started() -> None:
    story = Story().placed()
    story.tell(Ended(story.lease, How.LOOKED, "e0"), after=1)
    assert (story.state.execution_id, story.due) == ("e0", None)
    story.tell(ExecutionOver("another", State.SUCCESS), after=60)
    assert story.due is None
    assert story.tell(ExecutionOver("e0", State.SUCCESS)).due == 11, "it is past due"


def test_one_that_allows_it_looks_again_while_its_execution_runs() -> None:
    story = Story(Definition(Kind.POLL, interval=10 * SECOND, concurrent=True)).placed()
    assert story.tell(Ended(story.lease, How.LOOKED, "e0")).due == 10


def test_it_waits_no_more_for_an_execution_that_is_deleted() -> None:
    story = Story().placed()
    assert story.tell(Ended(story.lease, How.LOOKED, "e0")).tell(ExecutionOver("e0", None)).state.execution_id is None
    assert not story.state.disabled


def test_stop_after_disables_it() -> None:
    story = Story().placed()
    story.tell(Ended(story.lease, How.LOOKED, "e0")).tell(ExecutionOver("e0", State.FAILED))
    assert (story.state.disabled, story.due) == (True, None)


def test_stop_after_ends_a_listener_too() -> None:
    story = Story(Definition(Kind.LISTEN, stop_after=(State.FAILED,))).placed()
    story.tell(Emitted(story.lease, 1)).tell(ExecutionOver("any", State.FAILED))
    assert (story.state.disabled, [halt.cause for halt in story.halts]) == (True, [Cause.KILLED])


# --- taking over


def test_another_worker_takes_over_after_a_second_and_then_after_the_interval() -> None:
    story = Story().placed("w1").tell(Lost("other"), after=1)
    assert story.due is None
    assert story.tell(Lost("w1"), after=1).due == 3
    story.tell(Rang(), after=1)
    assert story.placed("w2").tell(Lost("w2"), after=1).due == 14, "one that kills its workers must not kill them all at once"
    story.tell(Rang(), after=10).placed("w3").tell(Ended(story.lease, How.LOOKED)).tell(Rang(), after=10).placed("w4").tell(Lost("w4"))
    assert story.due == story.seconds + 1, "it was well in between"


def test_a_look_that_hangs_is_told_to_stop_at_its_timeout_and_seen_gone_before_the_next() -> None:
    story = Story().placed()
    assert story.tell(Rang(), after=29).halts == []
    story.tell(Rang(), after=1)
    assert story.halts == [Halt("w1", story.lease, Cause.TIMEOUT)]
    assert (story.due, next_moment(story.standing, POLL)) == (None, story.now + STOP_AGAIN)
    story.tell(Rang(), after=5)
    assert len(story.halts) == 2, "nobody answered: it is told again"
    assert story.tell(Ended(story.lease, How.TIMEOUT), after=1).due == 46


def test_one_that_never_came_is_stopped_and_goes_again() -> None:
    story = Story().placed().tell(Missed(), after=2)
    assert (story.halts, story.due) == ([Halt("w1", story.lease, Cause.KILLED)], None)
    assert story.tell(Ended(story.lease, How.STOPPED)).due == 0


def test_a_listener_must_be_received_and_begins_anew_before_its_token_is_over() -> None:
    story = Story(LISTEN).placed()
    assert next_moment(story.standing, LISTEN) == EPOCH + RECEIPT
    story.tell(Received(story.lease), after=1)
    assert next_moment(story.standing, LISTEN) == EPOCH + RENEWAL
    story.tell(Rang(), after=RENEWAL.total_seconds())
    assert [halt.cause for halt in story.halts] == [Cause.KILLED]
    assert story.tell(Ended(story.lease, How.STOPPED)).due == story.seconds


def test_a_listener_that_ends_by_itself_begins_again_after_pauses_that_grow() -> None:
    story, pauses = Story(LISTEN), []
    for _ in range(8):
        story.placed().tell(Ended(story.lease, How.FAILED))
        assert story.due is not None
        pauses.append(story.due - story.seconds)
        story.tell(Rang(), after=pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    story.placed().tell(Ended(story.lease, How.FAILED), after=LONGEST_PAUSE.total_seconds())
    assert story.due == story.seconds + FIRST_PAUSE.total_seconds(), "it had lasted"


def test_emits_and_lines_are_taken_once() -> None:
    story = Story(LISTEN).placed()
    story.tell(Emitted(story.lease, 2)).tell(Told(story.lease, 7))
    now = story.standing
    assert story.tell(Emitted(story.lease, 2)).tell(Emitted(story.lease, 1)).tell(Told(story.lease, 7)).standing == now


# --- flows that change


def test_a_changed_definition_takes_effect_at_once() -> None:
    story = Story().placed()
    story.tell(Ended(story.lease, How.LOOKED)).tell(Saved(NAME), after=1)
    assert story.due == 1


def test_a_flow_saved_with_nothing_changed_for_it_lets_it_be() -> None:
    story = Story().placed()
    before = story.standing
    assert story.tell(Saved(NAME, changed=False), after=1).standing == before


def test_a_changed_definition_ends_what_evaluates_by_the_old_one_first() -> None:
    story = Story().placed().tell(Saved(NAME), after=1)
    assert ([halt.cause for halt in story.halts], story.due) == ([Cause.KILLED], None)
    assert story.tell(Ended(story.lease, How.STOPPED), after=1).due == 1


def test_what_a_look_had_found_when_it_was_told_to_stop_still_starts() -> None:
    story = Story().placed().tell(Saved(NAME), after=1)
    assert story.tell(Ended(story.lease, How.LOOKED, "e0")).state.execution_id == "e0"


def test_a_trigger_that_is_gone_blocks_the_next_of_its_name_until_it_has_stopped() -> None:
    story = Story().placed("w1")
    lease = story.lease
    story.tell(Removed())
    assert story.standing == Standing(None, Leaving("w1", lease, EPOCH + STOP_AGAIN))
    story.tell(Saved(NAME), after=1)
    assert (story.due, len(story.halts)) == (None, 1)
    story.tell(Rang(), after=5)
    assert len(story.halts) == 2, "it is told again"
    assert story.tell(Ended(lease, How.STOPPED)).due == 1


def test_a_trigger_that_is_gone_blocks_nothing_once_its_worker_is_dead() -> None:
    story = Story().placed("w1").tell(Removed()).tell(Saved(NAME)).tell(Lost("w1"), after=2)
    assert story.due == 3


# --- people


def test_a_person_disables_and_enables_it() -> None:
    story = Story().placed().tell(Asked(Verb.DISABLE), after=1)
    assert ([halt.cause for halt in story.halts], story.state.disabled) == ([Cause.KILLED], True)
    story.tell(Ended(story.lease, How.STOPPED))
    assert story.due is None
    assert story.tell(Asked(Verb.ENABLE), after=5).due == 6


def test_enabling_what_is_enabled_changes_nothing() -> None:
    story = Story(LISTEN).placed()
    before = story.state.next_execution_date
    assert story.tell(Asked(Verb.ENABLE), after=5).state.next_execution_date == before


def test_a_person_unlocks_it() -> None:
    story = Story().placed()
    story.tell(Ended(story.lease, How.LOOKED, "e0"), after=1).tell(Asked(Verb.UNLOCK))
    assert (story.state.execution_id, story.due) == (None, 11)


def test_a_person_has_it_begin_anew_at_once() -> None:
    story = Story().placed()
    story.tell(Ended(story.lease, How.LOOKED), after=1)
    assert story.tell(Asked(Verb.RESTART)).due == 1


def test_an_evaluation_nobody_can_take_is_left_out_this_time() -> None:
    story = Story().tell(Skipped(), after=2)
    assert (story.due, story.state.date) == (12, story.now)


# --- why


def _reason(story: Story, held: Held | None = None) -> tuple[str, object]:
    assert story.definition is not None
    found = reason_of(story.standing, story.definition, story.now, held)
    return found.kind.value, found.since


def test_every_reason_is_typed_and_dated() -> None:
    story = Story()
    assert _reason(story) == ("DUE", EPOCH)
    assert _reason(story, Held(lacking=("worker group 'nowhere'",))) == ("NO_LIVE_WORKER", EPOCH)
    assert _reason(story, Held(full=("gpu",))) == ("AT_CAPACITY", EPOCH)
    assert _reason(story.placed()) == ("EVALUATING", EPOCH)
    assert _reason(story.tell(Rang(), after=30)) == ("STOPPING", EPOCH)
    assert _reason(story.tell(Ended(story.lease, How.LOOKED), after=1)) == ("NOT_DUE", EPOCH)
    story.tell(Rang(), after=10).placed().tell(Ended(story.lease, How.LOOKED, "e9"))
    assert _reason(story) == ("WAITING_FOR_EXECUTION", story.now)
    assert _reason(story.tell(Asked(Verb.DISABLE))) == ("TRIGGER_DISABLED", story.now)
    assert _reason(Story(Definition(Kind.POLL, enabled=False)))[0] == "TRIGGER_DISABLED"
    assert _reason(Story(Definition(Kind.POLL, obstacle="its conditions")))[0] == "NOT_EVALUATED"


def test_a_reason_brings_its_evidence() -> None:
    story = Story(LISTEN).placed("w3").tell(Emitted(Story(LISTEN).placed().lease, 4))
    assert dict(reason_of(story.standing, LISTEN, story.now).evidence) == {"worker": "w3", "lease": story.lease, "how": "listen", "emitted": 4}
