"""Starts that fail: a budget of their own, a generation of their own, and the clock that stands meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from engine_driving import EPOCH, SECOND, Driver, a_flow, fail, log

from orchestrator.engine.events import Decision, KillAsked, RunEnded, RunLost, RunReached, RunReceived, TimerFired, TimerKind
from orchestrator.engine.explaining import explain_run
from orchestrator.engine.start_budget import StartBudget, next_start
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Cause, Phase, PhaseName, Placement, TaskRun, Where
from orchestrator.model.job import JobHandle
from orchestrator.model.start import FailedStart
from orchestrator.model.state import State

NO_ROOM = FailedStart(kind="CAPACITY")
RETRY = {"type": "constant", "interval": "PT10S", "maxAttempts": 2}


def _failing(times: int, failed: FailedStart = NO_ROOM, kind: Callable[..., dict[str, Any]] = log, **task: object) -> Driver:
    """An execution whose job cannot be started so many times, and then does its task."""

    def worker(driven: Driver, run: TaskRun) -> Outcome:
        if run.start_failures < times and not any(attempt.state.current.ended for attempt in run.attempts):
            return driven.outcome(run, "FAILED", cause=Cause.START_FAILED, error="no capacity", failed_start=failed)
        return driven.by_type(run)

    return Driver(a_flow(kind("t", **task)), worker)


def _reach(driven: Driver, name: PhaseName, at: timedelta, run: TaskRun | None = None) -> None:
    driven.now = EPOCH + at
    run = run or driven.one("t")
    driven.send(RunReached(run.id, run.lease, Phase(name=name, at=driven.now)))


def _rented(**task: object) -> Driver:
    """A run that a supervisor has begun."""
    driven = Driver(a_flow(log("t", **task))).start()
    run = driven.waiting.popleft().run
    driven.view.apply(_placed(driven, run))
    driven.send(RunReceived(run.id, 1, "s", driven.now))
    return driven


def _placed(driven: Driver, run: TaskRun) -> Decision:
    job = JobHandle(key="k", runner="r", backend="b")
    return Decision(runs=(driven.one(run.task_id).model_copy(update={"placement": Placement(where=Where.SUPERVISOR), "job": job}),))


# --- the budget


def test_the_waits_double_and_have_a_longest() -> None:
    budget = StartBudget(retries=20)
    dues = [next_start(budget, NO_ROOM, at=EPOCH, failures=n, chance=0.5) for n in (1, 2, 3, 10, 20)]
    assert [due and (due - EPOCH).total_seconds() for due in dues] == [2, 4, 8, 60, 60]


def test_chance_spreads_a_wait_by_a_quarter_to_both_sides() -> None:
    dues = [next_start(StartBudget(), NO_ROOM, at=EPOCH, failures=2, chance=chance) for chance in (0.0, 1.0)]
    assert [due and (due - EPOCH).total_seconds() for due in dues] == [3, 5]


@pytest.mark.parametrize(("failures", "again"), [(3, True), (4, False)])
def test_a_budget_of_three_allows_three_further_starts(failures: int, again: bool) -> None:
    assert (next_start(StartBudget(retries=3), NO_ROOM, at=EPOCH, failures=failures, chance=0) is not None) is again


def test_a_start_that_outlasted_its_bound_is_not_made_again_unless_a_rung_is_left() -> None:
    bound, climbing = FailedStart(kind="BOUND"), FailedStart(kind="BOUND", climbs=True)
    assert next_start(StartBudget(), bound, at=EPOCH, failures=1, chance=0) is None
    assert next_start(StartBudget(retries=0), climbing, at=EPOCH, failures=9, chance=0) is not None


# --- the run


def test_a_failed_start_is_made_again_under_a_new_generation_and_is_no_attempt() -> None:
    driven = _failing(2).run()
    run = driven.one("t")
    assert (run.state.current, run.generation, run.lease, run.start_failures, len(run.attempts)) == (State.SUCCESS, 2, 3, 2, 1)
    assert [entry.state.value for entry in run.state.histories] == ["CREATED", "RUNNING", "RETRYING", "RUNNING", "RETRYING", "RUNNING", "SUCCESS"]
    assert (run.cause, run.error) == (None, None)


def test_each_failed_start_is_told_with_its_number_and_reason() -> None:
    driven = _failing(1).run()
    assert [say.message.partition("; the next")[0] for say in driven.said] == ["Start 1 failed (CAPACITY): no capacity"]


def test_past_the_budget_the_run_fails_with_the_places_own_words_and_no_retry_of_the_users() -> None:
    driven = _failing(9, retry=RETRY).run()
    run = driven.one("t")
    assert (run.state.current, run.cause, run.error, run.start_failures, run.generation) == (State.FAILED, Cause.START_FAILED, "no capacity", 4, 3)


def test_failed_starts_take_nothing_from_the_users_retry_which_begins_a_new_budget() -> None:
    driven = _failing(2, kind=fail, retry=RETRY).run()
    run = driven.one("t")
    assert (len(run.attempts), run.cause, run.start_failures, run.generation) == (2, None, 0, 3)


def test_a_ladder_is_climbed_beyond_the_budget() -> None:
    driven = _failing(6, FailedStart(kind="RECLAIMED", climbs=True)).run()
    assert (driven.one("t").state.current, driven.one("t").start_failures) == (State.SUCCESS, 6)


def test_a_start_that_fails_while_its_run_is_killed_is_a_kill() -> None:
    driven = Driver(a_flow(log("t"))).start()
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "s", driven.now))
    driven.send(KillAsked())
    driven.send(RunEnded(driven.outcome(run, "FAILED", cause=Cause.START_FAILED, failed_start=NO_ROOM)))
    assert driven.one("t").state.current is State.KILLED


def test_a_wait_for_the_next_start_outlives_the_executor_and_is_explained() -> None:
    driven = _failing(1).start()
    driven.work_one()
    before = driven.one("t")
    driven.restart()
    (timer,) = driven.timers
    assert (timer.kind, timer.at) == (TimerKind.RETRY, before.due)
    told = explain_run(driven.one("t"), None, driven.now)
    assert told is not None
    assert told.message.startswith("Start 1 of its job failed (no capacity)")
    assert driven.go_on().state is State.SUCCESS


def test_a_run_that_waits_for_its_next_start_is_killed_at_once() -> None:
    driven = _failing(1).start()
    driven.work_one()
    driven.send(KillAsked())
    assert (driven.one("t").state.current, driven.state, list(driven.waiting)) == (State.KILLED, State.KILLED, [])


def test_an_outcome_under_the_lease_of_a_failed_start_changes_nothing() -> None:
    driven = _failing(1).start()
    old = driven.waiting[0].run
    driven.work_one()
    driven.now += timedelta(minutes=1)
    driven.send(TimerFired(TimerKind.RETRY, old.id))
    assert driven.send(RunEnded(driven.outcome(old, "SUCCESS"))).empty


# --- the clock


def test_the_timeout_of_a_rented_place_is_counted_from_the_commands_beginning() -> None:
    driven = _rented(timeout="PT5S")
    assert driven.one("t").due == EPOCH + 5 * SECOND
    _reach(driven, PhaseName.PROVISIONING, SECOND)
    assert driven.one("t").due is None
    driven.send(TimerFired(TimerKind.TIMEOUT, driven.one("t").id))
    assert driven.stops == []
    _reach(driven, PhaseName.RUNNING, 60 * SECOND)
    assert (driven.one("t").due, driven.one("t").running_since) == (EPOCH + 65 * SECOND, EPOCH + 60 * SECOND)
    assert driven.restart().timers[0].at == EPOCH + 65 * SECOND


def test_a_job_watched_anew_is_not_given_its_timeout_once_more() -> None:
    driven = _rented(timeout="PT5M")
    _reach(driven, PhaseName.RUNNING, SECOND)
    driven.send(RunLost(driven.one("t").id, 1, Cause.WORKER_LOST))
    run = driven.waiting.popleft().run
    driven.view.apply(_placed(driven, run))
    driven.send(RunReceived(run.id, 2, "s2", driven.now))
    _reach(driven, PhaseName.PROVISIONING, 100 * SECOND)
    _reach(driven, PhaseName.RUNNING, 101 * SECOND)
    assert driven.one("t").due == EPOCH + 301 * SECOND


def test_a_worker_of_its_own_keeps_the_timeout_from_when_it_took_the_run() -> None:
    driven = Driver(a_flow(log("t", timeout="PT5S"))).start()
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    _reach(driven, PhaseName.PROVISIONING, SECOND)
    _reach(driven, PhaseName.RUNNING, 3 * SECOND)
    assert driven.one("t").due == EPOCH + 5 * SECOND
    assert [phase.name for phase in driven.one("t").phases][-2:] == [PhaseName.PROVISIONING, PhaseName.RUNNING]
