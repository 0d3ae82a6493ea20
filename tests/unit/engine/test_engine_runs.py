"""Runs that do something: leases, retries, bounds of time, places that fail."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from engine_driving import EPOCH, SECOND, Driver, a_flow, fail, log, of

from orchestrator.engine.events import RunEnded, RunLost, RunReceived, RunRefused, RunStopped, SetTimer, TimerFired, TimerKind
from orchestrator.model.dispatch import VariableChange
from orchestrator.model.execution import Cause, PhaseName
from orchestrator.model.state import State

CONSTANT = {"type": "constant", "interval": "PT10S", "maxAttempts": 3}


def _first(flow_task: dict[str, Any], **flow: Any) -> Driver:
    return Driver(a_flow(flow_task, log("next"), **flow)).start()


def _histories(driven: Driver, task: str = "t") -> list[str]:
    return [entry.state.value for entry in driven.one(task).state.histories]


# --- leases


def test_a_run_is_sent_under_its_first_lease() -> None:
    driven = _first(log("t"))
    (sent,) = driven.waiting
    assert (sent.run.lease, sent.run.generation, sent.run.state.current) == (1, 0, State.CREATED)
    assert [phase.name for phase in sent.run.phases] == [PhaseName.QUEUED]


def test_reports_under_an_old_lease_change_nothing() -> None:
    driven = _first(log("t"))
    old = driven.waiting.popleft().run
    driven.send(RunLost(old.id, 1, Cause.WORKER_LOST))
    for event in (
        RunReceived(old.id, 1, "w", driven.now),
        RunEnded(driven.outcome(old, "SUCCESS")),
        RunLost(old.id, 1, Cause.WORKER_LOST),
        RunStopped(old.id, 1),
    ):
        assert driven.send(event).empty


def test_a_result_is_taken_once() -> None:
    driven = _first(log("t"))
    run = driven.waiting.popleft().run
    driven.send(RunEnded(driven.outcome(run, "SUCCESS", outputs={"n": 1})))
    assert driven.send(RunEnded(driven.outcome(run, "FAILED"))).empty
    assert (driven.one("t").state.current, driven.one("t").outputs) == (State.SUCCESS, {"n": 1})


def test_being_received_twice_changes_nothing() -> None:
    driven = _first(log("t"))
    run = driven.waiting.popleft().run
    assert not driven.send(RunReceived(run.id, 1, "w", driven.now)).empty
    assert driven.send(RunReceived(run.id, 1, "w", driven.now + SECOND)).empty


def test_running_begins_when_the_worker_says_so() -> None:
    driven = _first(log("t"))
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", EPOCH + 3 * SECOND))
    assert driven.one("t").state.histories[-1].date == EPOCH + 3 * SECOND


def test_an_end_without_a_beginning_gives_both_entries() -> None:
    driven = _first(log("t"))
    driven.send(RunEnded(driven.outcome(driven.waiting.popleft().run, "SUCCESS")))
    assert _histories(driven) == ["CREATED", "RUNNING", "SUCCESS"]
    assert [attempt.state.current for attempt in driven.one("t").attempts] == [State.SUCCESS]


def test_a_failed_run_keeps_its_outputs_cause_and_error() -> None:
    driven = _first(log("t"))
    run = driven.waiting.popleft().run
    driven.send(RunEnded(driven.outcome(run, "FAILED", outputs={"message": "Oh no!"}, cause=Cause.EXIT_CODE, error="exit 3")))
    run = driven.one("t")
    assert (run.outputs, run.cause, run.error) == ({"message": "Oh no!"}, Cause.EXIT_CODE, "exit 3")


def test_labels_and_variables_of_an_outcome_go_to_the_execution() -> None:
    driven = _first(log("t"))
    run = driven.waiting.popleft().run
    driven.send(RunEnded(driven.outcome(run, "SUCCESS", labels={"a": "1"}, variables=(VariableChange(put={"x": 1}),))))
    driven.send(RunEnded(driven.outcome(driven.waiting.popleft().run, "SUCCESS", labels={"a": "2", "b": "3"}, variables=(VariableChange(put={"y": 2}),))))
    execution = driven.view.execution
    assert {label.key: label.value for label in execution.labels} == {"a": "2", "b": "3"}
    assert execution.vars == {"x": 1, "y": 2}


# --- retries


def test_a_failure_is_tried_again_after_its_interval() -> None:
    driven = Driver(a_flow(fail("t", retry=CONSTANT), errors=[log("e")])).run()
    run = driven.one("t")
    assert _histories(driven) == ["CREATED", "RUNNING", "RETRYING", "RUNNING", "RETRYING", "RUNNING", "FAILED"]
    assert [attempt.state.current for attempt in run.attempts] == [State.FAILED] * 3
    assert (run.generation, run.lease) == (2, 3)
    assert driven.states()[-1] == ("e", "SUCCESS")
    waits = [run.state.histories[i + 1].date - run.state.histories[i].date for i in (2, 4)]
    assert waits == [timedelta(seconds=10)] * 2


def test_allowed_failures_are_tried_again_first() -> None:
    driven = Driver(a_flow(fail("t", retry=CONSTANT, allowFailure=True), log("b"))).run()
    assert (driven.states(), len(driven.one("t").attempts)) == ([("t", "WARNING"), ("b", "SUCCESS")], 3)


@pytest.mark.parametrize(("warn", "state"), [(True, State.WARNING), (False, State.SUCCESS)])
def test_success_after_a_retry_may_be_a_warning(warn: bool, state: State) -> None:
    task = {"id": "t", "type": "Return", "format": "{{ [1][taskrun.attemptsCount - 2] }}", "retry": {**CONSTANT, "warningOnRetry": warn}}
    driven = Driver(a_flow(task)).run()
    assert (driven.state, len(driven.one("t").attempts)) == (state, 2)


def test_success_at_once_is_no_warning() -> None:
    assert Driver(a_flow(log("t", retry={**CONSTANT, "warningOnRetry": True}))).run().state is State.SUCCESS


@pytest.mark.parametrize("level", ["flow", "parent"])
def test_a_retry_may_stand_above_the_task(level: str) -> None:
    task = of("Sequential", "s", fail("t"), **({"retry": CONSTANT} if level == "parent" else {}))
    driven = Driver(a_flow(task, **({"retry": CONSTANT} if level == "flow" else {}))).run()
    assert (driven.state, len(driven.one("t").attempts)) == (State.FAILED, 3)


def test_a_timer_that_rings_early_is_set_again() -> None:
    driven = _first(fail("t", retry=CONSTANT))
    driven.work_one()
    before = driven.one("t")
    assert before.due is not None
    decision = driven.send(TimerFired(TimerKind.RETRY, before.id))
    assert (decision.runs, decision.commands) == ((), (SetTimer(TimerKind.RETRY, before.due, before.id),))


# --- bounds of time


def test_a_run_that_outlasts_its_timeout_is_stopped_and_fails_whatever_it_says() -> None:
    driven = _first(log("t", timeout="PT5S"))
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    (timer,) = driven.timers
    assert (timer.kind, timer.at) == (TimerKind.TIMEOUT, EPOCH + 5 * SECOND)
    driven.now = timer.at
    driven.send(TimerFired(timer.kind, timer.task_run_id))
    assert [(stop.task_run_id, stop.lease, stop.cause) for stop in driven.stops] == [(run.id, 1, Cause.TIMEOUT)]
    driven.send(RunEnded(driven.outcome(run, "SUCCESS")))
    assert (driven.one("t").state.current, driven.one("t").cause, driven.state) == (State.FAILED, Cause.TIMEOUT, State.FAILED)


@pytest.mark.parametrize("end", [lambda run: RunStopped(run.id, 1), lambda run: RunLost(run.id, 1, Cause.WORKER_LOST)])
def test_a_timed_out_run_ends_when_nothing_is_left_of_it(end: Any) -> None:
    driven = Driver(a_flow(log("t", timeout="PT5S"))).start()
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    driven.now += 5 * SECOND
    driven.send(TimerFired(TimerKind.TIMEOUT, run.id))
    driven.send(end(run))
    assert (driven.one("t").cause, driven.state) == (Cause.TIMEOUT, State.FAILED)


def test_a_timeout_may_be_a_template() -> None:
    driven = Driver(a_flow(log("t", timeout="{{ inputs.limit }}")), inputs={"limit": "PT7S"}).start()
    assert driven.view.before_answers(driven.one("t")) == {"timeout": "PT7S"}
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    assert driven.timers[0].at == EPOCH + 7 * SECOND


def test_a_bad_timeout_fails_the_run_before_it_is_sent() -> None:
    driven = _first(log("t", timeout="soon"))
    assert (driven.state, list(driven.waiting), driven.one("t").cause) == (State.FAILED, [], Cause.EXPRESSION)


def test_a_timeout_of_an_ended_run_changes_nothing() -> None:
    driven = _first(log("t", timeout="PT5S"))
    driven.work_one()
    driven.now += 10 * SECOND
    assert driven.send(TimerFired(TimerKind.TIMEOUT, driven.one("t").id)).empty


def _out_of_queue_time(**fields: Any) -> Driver:
    driven = _first(log("t", queueTimeout="PT5S", **fields))
    driven.now += 5 * SECOND
    driven.send(TimerFired(TimerKind.QUEUE_TIMEOUT, driven.one("t").id))
    return driven


def test_a_run_that_waits_too_long_for_a_worker_is_taken_out_of_its_queue_and_fails() -> None:
    driven = _out_of_queue_time(retry=CONSTANT)
    assert [(stop.task_run_id, stop.lease) for stop in driven.stops] == [(driven.one("t").id, 1)]
    driven.send(RunStopped(driven.one("t").id, 1))
    run = driven.one("t")
    assert (run.state.current, run.cause, run.attempts, driven.state) == (State.FAILED, Cause.QUEUE_TIMEOUT, (), State.FAILED)
    assert driven.send(RunReceived(run.id, 1, "w", driven.now)).empty


def test_a_run_that_began_just_as_its_queue_time_was_over_fails_all_the_same() -> None:
    driven = _out_of_queue_time(timeout="PT1S")
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    driven.send(RunEnded(driven.outcome(run, "SUCCESS")))
    assert (driven.one("t").state.current, driven.one("t").cause, len(driven.timers)) == (State.FAILED, Cause.QUEUE_TIMEOUT, 1)


def test_a_run_that_was_received_has_no_queue_timeout_any_more() -> None:
    driven = _first(log("t", queueTimeout="PT5S"))
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w", driven.now))
    driven.now += 5 * SECOND
    assert driven.send(TimerFired(TimerKind.QUEUE_TIMEOUT, run.id)).empty


# --- places that fail


def test_a_lost_run_is_sent_again_under_a_new_lease_and_the_same_generation() -> None:
    driven = _first(log("t"))
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, 1, "w1", driven.now))
    driven.send(RunLost(run.id, 1, Cause.WORKER_LOST))
    again = driven.waiting.popleft().run
    assert (again.lease, again.generation, again.lost_workers) == (2, 0, 1)
    assert [phase.name for phase in again.phases] == [PhaseName.QUEUED]
    driven.send(RunReceived(run.id, 2, "w2", driven.now))
    driven.send(RunEnded(driven.outcome(again, "SUCCESS")))
    assert _histories(driven) == ["CREATED", "RUNNING", "SUCCESS"]
    assert [attempt.worker_id for attempt in driven.one("t").attempts] == ["w2"]


def test_the_fourth_loss_fails_the_run_without_a_retry() -> None:
    driven = _first(log("t", retry=CONSTANT))
    for lease in range(1, 5):
        driven.send(RunLost(driven.one("t").id, lease, Cause.WORKER_LOST))
    assert (driven.one("t").state.current, driven.one("t").cause, driven.state) == (State.FAILED, Cause.WORKER_LOST, State.FAILED)


def test_work_handed_back_is_not_counted_as_lost() -> None:
    driven = _first(log("t"))
    for lease in range(1, 8):
        driven.send(RunLost(driven.one("t").id, lease, Cause.WORKER_SHUTDOWN))
    assert (driven.one("t").lease, driven.one("t").lost_workers, driven.state) == (8, 0, State.RUNNING)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_refused_run_ends_without_ever_starting(state: State) -> None:
    driven = _first(log("t"), errors=[log("e")])
    run = driven.waiting.popleft().run
    driven.send(RunRefused(run.id, state, Cause.NO_WORKER, "No workers are available for worker group 'gpu'"))
    assert (driven.one("t").state.current, driven.one("t").attempts) == (state, ())
    assert driven.said[-1].message == "No workers are available for worker group 'gpu'"
    assert driven.go_on().state is state
    assert len(driven.all_of("e")) == (state is State.FAILED)
