"""A kill: nothing new starts, what runs is stopped, and the execution is killed when nothing is left."""

from __future__ import annotations

from typing import Any

import pytest
from engine_driving import Driver, a_flow, fail, log, of

from orchestrator.engine.events import KillAsked, RunEnded, RunLost, RunReceived, RunRefused, RunStopped, Started, TimerFired, TimerKind
from orchestrator.model.execution import Cause
from orchestrator.model.state import State

EVER_AFTER = {"errors": [log("e")], "finally": [log("z")]}


def _running(**fields: Any) -> Driver:
    driven = Driver(a_flow(of("Sequential", "s", log("t"), log("next"), **fields), **EVER_AFTER)).start()
    run = driven.waiting.popleft().run
    driven.send(RunReceived(run.id, run.lease, "w", driven.now))
    driven.send(KillAsked())
    return driven


def test_a_run_that_was_sent_is_stopped_and_waited_for() -> None:
    driven = _running()
    assert [(stop.task_run_id, stop.lease, stop.cause) for stop in driven.stops] == [(driven.one("t").id, 1, Cause.KILLED)]
    assert (driven.state, driven.states()) == (State.KILLING, [("s", "KILLING"), ("t", "KILLING")])


@pytest.mark.parametrize(
    "end",
    [
        lambda d, run: RunEnded(d.outcome(run, "SUCCESS")),
        lambda d, run: RunEnded(d.outcome(run, "KILLED")),
        lambda d, run: RunEnded(d.outcome(run, "FAILED")),
        lambda d, run: RunStopped(run.id, 1),
        lambda d, run: RunLost(run.id, 1, Cause.WORKER_LOST),
    ],
)
def test_however_it_ends_it_was_killed_and_nothing_starts_after_it(end: Any) -> None:
    driven = _running()
    driven.send(end(driven, driven.one("t")))
    assert driven.history == ["CREATED", "RUNNING", "KILLING", "KILLED"]
    assert driven.states() == [("s", "KILLED"), ("t", "KILLED")]
    assert [attempt.state.current for attempt in driven.one("t").attempts] == [State.KILLED]
    assert not driven.waiting


def test_a_run_still_in_its_queue_is_killed_once_the_place_has_let_go_of_it() -> None:
    driven = Driver(a_flow(log("t"))).start()
    driven.send(KillAsked())
    assert (driven.state, driven.one("t").state.current) == (State.KILLING, State.KILLING)
    driven.send(RunStopped(driven.one("t").id, 1))
    assert (driven.state, driven.one("t").attempts) == (State.KILLED, ())


def test_a_refusal_during_a_kill_is_a_kill() -> None:
    driven = Driver(a_flow(log("t"))).start()
    driven.send(KillAsked())
    driven.send(RunRefused(driven.one("t").id, State.FAILED, Cause.NO_WORKER, "none"))
    assert driven.states() == [("t", "KILLED")]


def test_a_run_that_waits_for_its_retry_is_killed_at_once() -> None:
    driven = Driver(a_flow(fail("t", retry={"type": "constant", "interval": "PT1H"}))).start()
    driven.work_one()
    driven.send(KillAsked())
    assert (driven.history[-1], driven.states()) == ("KILLED", [("t", "KILLED")])
    assert driven.send(TimerFired(TimerKind.RETRY, driven.one("t").id)).empty


def test_a_run_whose_questions_are_open_is_killed_at_once() -> None:
    driven = Driver(a_flow(log("t", runIf="{{ inputs.x }}")), inputs={"x": True})
    driven.answering = False
    driven.start().send(KillAsked())
    assert (driven.state, driven.states()) == (State.KILLED, [("t", "KILLED")])
    assert driven.send(driven.evaluated(driven.unanswered[0])).empty


def test_a_flowable_whose_plan_is_open_is_killed_at_once() -> None:
    driven = Driver(a_flow(of("ForEach", "each", log("t"), values="[1]")))
    driven.answering = False
    driven.start().send(KillAsked())
    assert (driven.state, driven.states()) == (State.KILLED, [("each", "KILLED")])
    assert driven.send(driven.evaluated(driven.unanswered[0])).empty


def test_an_execution_that_waits_for_its_outputs_can_be_killed() -> None:
    driven = Driver(a_flow(log("t"), outputs=[{"id": "k", "type": "STRING", "value": "v"}])).start()
    driven.answering = False
    driven.work_one()
    assert driven.state.value == "RUNNING"
    driven.send(KillAsked())
    assert driven.state is State.KILLED
    assert driven.send(driven.evaluated(driven.unanswered[0])).empty


def test_an_execution_that_has_not_begun_never_begins() -> None:
    driven = Driver(a_flow(log("t")))
    driven.send(KillAsked())
    assert driven.history == ["CREATED", "KILLING", "KILLED"]
    assert driven.send(Started()).empty


def test_killing_twice_or_after_the_end_changes_nothing() -> None:
    driven = _running()
    assert driven.send(KillAsked()).empty
    driven.send(RunStopped(driven.one("t").id, 1))
    assert driven.send(KillAsked()).empty
    assert Driver(a_flow(log("t"))).run().send(KillAsked()).empty


def test_every_run_of_a_wide_execution_is_waited_for() -> None:
    driven = Driver(a_flow(of("Parallel", "p", *(log(f"t{i}") for i in range(4))))).start()
    driven.send(KillAsked())
    runs = [command.run for command in driven.waiting]
    for run in runs[:-1]:
        driven.send(RunStopped(run.id, run.lease))
    assert driven.state.value == "KILLING"
    driven.send(RunStopped(runs[-1].id, runs[-1].lease))
    assert driven.state is State.KILLED
