"""Runs that wait to be resumed, executions that a person has paused, and runs that repeat their tasks."""

from __future__ import annotations

from typing import Any

import pytest
from engine_driving import SECOND, Driver, a_flow, fail, log, of

from orchestrator.engine.events import KillAsked, PauseAsked, ResumeAsked, RunEnded, RunReceived, TimerFired, TimerKind
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.state import State


def pause(task_id: str, *tasks: Any, **fields: Any) -> dict[str, Any]:
    return of("Pause", task_id, *tasks, **fields)


def _history(run: TaskRun) -> list[str]:
    return [entry.state.value for entry in run.state.histories]


def _resumed(driven: Driver, task_id: str, **values: Any) -> Driver:
    driven.send(ResumeAsked(driven.one(task_id).id, values))
    return driven.go_on()


# --- a run that waits


def test_a_pause_holds_the_execution_and_goes_on_with_its_tasks() -> None:
    driven = Driver(a_flow(pause("p", log("sub")), log("last"))).run()
    assert (driven.history, driven.states()) == (["CREATED", "RUNNING", "PAUSED"], [("p", "PAUSED")])
    _resumed(driven, "p", asked="yes")
    assert driven.history == ["CREATED", "RUNNING", "PAUSED", "RESTARTED", "RUNNING", "SUCCESS"]
    assert driven.states() == [("p", "SUCCESS"), ("sub", "SUCCESS"), ("last", "SUCCESS")]
    assert _history(driven.one("p")) == ["CREATED", "RUNNING", "PAUSED", "RUNNING", "SUCCESS"]
    assert driven.one("p").outputs["onResume"] == {"asked": "yes"}


def test_a_pause_without_tasks_ends_as_it_is_resumed() -> None:
    driven = _resumed(Driver(a_flow(pause("p"), log("last"))).run(), "p")
    assert _history(driven.one("p")) == ["CREATED", "RUNNING", "PAUSED", "SUCCESS"]
    assert driven.state is State.SUCCESS


def test_a_pause_with_a_length_goes_on_by_itself() -> None:
    driven = Driver(a_flow(pause("p", seconds=5), log("last"))).run()
    assert driven.state is State.SUCCESS
    waited = driven.one("p").state.histories
    assert waited[-1].date - waited[-2].date == 5 * SECOND


@pytest.mark.parametrize(
    ("overdue", "ends", "runs"),
    [
        (State.WARNING, State.WARNING, [("p", "WARNING"), ("sub", "SUCCESS"), ("last", "SUCCESS")]),
        (State.FAILED, State.FAILED, [("p", "FAILED"), ("oops", "SUCCESS")]),
        (State.CANCELLED, State.CANCELLED, [("p", "CANCELLED")]),
    ],
)
def test_what_nobody_resumes_in_time_ends_as_it_says(overdue: State, ends: State, runs: list[tuple[str, str]]) -> None:
    driven = Driver(a_flow(pause("p", log("sub"), seconds=5, overdue=overdue), log("last"), errors=[log("oops")])).run()
    assert (driven.state, driven.states()) == (ends, runs)
    assert driven.one("p").cause is (Cause.TIMEOUT if overdue.failed else None)


def test_a_failure_that_is_allowed_lets_the_flow_go_on() -> None:
    driven = Driver(a_flow(pause("p", seconds=5, overdue=State.FAILED, allowFailure=True), log("last"))).run()
    assert (driven.state, driven.states()) == (State.WARNING, [("p", "WARNING"), ("last", "SUCCESS")])


def test_errors_and_finally_of_a_pause_run_when_its_time_is_over() -> None:
    driven = Driver(a_flow(pause("p", log("sub"), seconds=5, overdue=State.FAILED, errors=[log("e")], **{"finally": [log("f")]}))).run()
    assert driven.states() == [("p", "FAILED"), ("e", "SUCCESS"), ("f", "SUCCESS")]


def test_a_timer_that_comes_after_the_resume_changes_nothing() -> None:
    driven = Driver(a_flow(pause("p", log("sub"), seconds=5)), worker=lambda driven, run: None).run_until_paused()
    driven.send(ResumeAsked(driven.one("p").id, {"reason": "approved"}))
    driven.now += 9 * SECOND
    assert driven.send(TimerFired(TimerKind.PAUSE, driven.one("p").id)).empty
    assert driven.one("p").outputs["onResume"] == {"reason": "approved"}


def test_what_stands_beside_a_pause_goes_on() -> None:
    driven = Driver(a_flow(of("Parallel", "all", pause("p", log("sub")), of("Sequential", "s", log("a"), log("b"))))).run()
    assert driven.state is State.PAUSED
    assert driven.states() == [("all", "RUNNING"), ("p", "PAUSED"), ("s", "SUCCESS"), ("a", "SUCCESS"), ("b", "SUCCESS")]
    assert _resumed(driven, "p").state is State.SUCCESS


def test_several_pauses_are_resumed_one_by_one() -> None:
    driven = Driver(a_flow(of("ForEach", "each", pause("p", log("sub")), values='["x", "y"]', limit=0))).run()
    first, second = driven.all_of("p")
    driven.send(ResumeAsked(first.id))
    driven.go_on()
    assert driven.state is State.PAUSED
    assert [run.state.current.value for run in driven.all_of("p")] == ["SUCCESS", "PAUSED"]
    driven.send(ResumeAsked(second.id))
    assert driven.go_on().state is State.SUCCESS


def test_the_task_of_a_pauses_beginning_runs_while_it_waits_and_decides_nothing() -> None:
    driven = Driver(a_flow(pause("p", beside=[fail("tell")]), log("last"))).run()
    assert (driven.state, driven.states()) == (State.PAUSED, [("p", "PAUSED"), ("tell", "FAILED")])
    _resumed(driven, "p")
    assert (driven.state, driven.one("p").state.current) == (State.SUCCESS, State.SUCCESS)


def test_a_pause_waits_for_what_its_beginning_started() -> None:
    driven = Driver(a_flow(pause("p", beside=[log("tell")])), worker=lambda driven, run: None).run_until_paused()
    driven.send(ResumeAsked(driven.one("p").id))
    assert driven.one("p").state.current is State.RUNNING
    driven.send(RunEnded(driven.outcome(driven.one("tell"), "SUCCESS")))
    assert driven.state is State.SUCCESS


def test_killing_a_paused_execution_ends_it_at_once() -> None:
    driven = Driver(a_flow(pause("p", log("sub"), seconds=60), log("last"))).run_until_paused()
    driven.send(KillAsked())
    assert (driven.history[-2:], driven.states()) == (["KILLING", "KILLED"], [("p", "KILLED")])
    driven.now += 60 * SECOND
    assert driven.send(TimerFired(TimerKind.PAUSE, driven.one("p").id)).empty


def test_a_pause_waits_on_over_a_restart() -> None:
    driven = Driver(a_flow(pause("p", log("sub"), seconds=5), log("last"))).run_until_paused()
    driven.restart()
    assert driven.state is State.PAUSED
    assert [(timer.kind, timer.task_run_id) for timer in driven.timers] == [(TimerKind.PAUSE, driven.one("p").id)]
    assert driven.go_on().state is State.SUCCESS


# --- an execution that a person pauses


def test_nothing_new_begins_while_a_person_has_paused_it() -> None:
    driven = Driver(a_flow(log("a"), log("b")), worker=lambda driven, run: None).start()
    driven.work_one()
    driven.send(PauseAsked())
    driven.send(RunEnded(driven.outcome(driven.one("a"), "SUCCESS")))
    assert (driven.state, driven.states()) == (State.PAUSED, [("a", "SUCCESS")])
    driven.restart()
    assert (driven.state, driven.states()) == (State.PAUSED, [("a", "SUCCESS")])
    driven.send(ResumeAsked())
    assert driven.history == ["CREATED", "RUNNING", "PAUSED", "RESTARTED", "RUNNING"]
    assert driven.states() == [("a", "SUCCESS"), ("b", "CREATED")]


def test_a_retry_that_falls_due_while_it_is_paused_waits_for_the_resume() -> None:
    driven = Driver(a_flow(fail("t", retry={"type": "constant", "interval": "PT3S", "maxAttempts": 2}))).start()
    driven.work_one()
    driven.send(PauseAsked())
    driven.now += 9 * SECOND
    assert driven.send(TimerFired(TimerKind.RETRY, driven.one("t").id)).empty
    driven.send(ResumeAsked())
    driven.go_on()
    assert (driven.state, len(driven.one("t").attempts)) == (State.FAILED, 2)


def test_an_answer_that_comes_while_it_is_paused_is_asked_for_again() -> None:
    driven = Driver(a_flow(log("a", runIf="{{ 1 }}")))
    driven.answering = False
    driven.start()
    (asked,) = driven.unanswered
    driven.send(PauseAsked())
    assert driven.send(driven.evaluated(asked)).empty
    driven.unanswered.clear()
    driven.answering = True
    driven.send(ResumeAsked())
    assert driven.go_on().state is State.SUCCESS


def test_what_is_not_running_is_not_paused() -> None:
    driven = Driver(a_flow(pause("p"))).run()
    assert driven.send(PauseAsked()).empty
    assert driven.send(ResumeAsked()).empty, "a run waits: it is that which is resumed"


# --- a run that repeats


def _counting(**fields: Any) -> dict[str, Any]:
    return of("Until", "u", {"id": "c", "type": "Return", "format": "{{ outputs['u']['iterationCount'] + 1 }}"}, **fields)


def test_tasks_are_repeated_until_the_condition_holds() -> None:
    driven = Driver(a_flow(_counting(condition="{{ outputs['c']['value'] == 4 }}"), log("last"))).run()
    assert driven.states() == [("u", "SUCCESS"), ("c", "SUCCESS"), ("last", "SUCCESS")]
    assert driven.one("c").outputs == {"value": 4}
    assert driven.one("u").outputs["iterationCount"] == 3
    assert [run.seq for run in driven.view.runs] == sorted(run.seq for run in driven.view.runs)
    assert driven.view.execution.task_run_count == 3


@pytest.mark.parametrize("spent", [State.SUCCESS, State.FAILED])
def test_the_most_rounds_end_it_as_it_says(spent: State) -> None:
    driven = Driver(a_flow(_counting(condition="{{ 0 }}", most=3, spent=spent, errors=[log("e")]))).run()
    assert (driven.state, driven.one("u").outputs["iterationCount"]) == (spent, 3)
    assert [one for one, _ in driven.states()] == ["u", "c", *(["e"] if spent is State.FAILED else [])]


def test_a_failure_in_a_round_is_the_last_of_it() -> None:
    driven = Driver(a_flow(of("Until", "u", log("a"), fail("b"), condition="{{ 0 }}", most=9))).run()
    assert (driven.state, driven.states()) == (State.FAILED, [("u", "FAILED"), ("a", "SUCCESS"), ("b", "FAILED")])


def test_a_condition_that_cannot_be_rendered_fails_it() -> None:
    driven = Driver(a_flow(of("Until", "u", log("a"), condition="{{ nope }}"))).run()
    assert driven.state is State.FAILED
    assert any("nope" in said.message for said in driven.said)


def test_loops_within_loops_begin_anew_in_every_round() -> None:
    inner = of("Until", "in", {"id": "c", "type": "Return", "format": "{{ outputs['in']['iterationCount'] }}"}, condition="{{ outputs['c']['value'] == 2 }}")
    outer = of("Until", "out", of("ForEach", "each", log("x"), values="[1, 2]", limit=1), inner, condition="{{ outputs['out']['iterationCount'] == 3 }}")
    driven = Driver(a_flow(outer)).run()
    assert (driven.state, len(driven.all_of("x")), driven.one("in").outputs["iterationCount"]) == (State.SUCCESS, 2, 2)


def test_a_restart_between_rounds_waits_for_the_next() -> None:
    driven = Driver(a_flow(_counting(condition="{{ outputs['u']['iterationCount'] == 2 }}"))).start()
    driven.work_one()
    driven.restart()
    assert [(timer.kind, timer.at - driven.now) for timer in driven.timers] == [(TimerKind.ROUND, SECOND)]
    assert driven.go_on().state is State.SUCCESS


def test_reports_of_a_round_that_is_past_change_nothing() -> None:
    driven = Driver(a_flow(_counting(condition="{{ 0 }}", most=3))).start()
    driven.work_one()
    old = driven.one("c")
    driven.now += SECOND
    driven.send(TimerFired(TimerKind.ROUND, driven.one("u").id))
    assert driven.send(RunEnded(driven.outcome(old, "FAILED"))).empty
    assert driven.send(RunReceived(old.id, old.lease, "w", driven.now)).empty


def test_a_kill_between_rounds_ends_it() -> None:
    driven = Driver(a_flow(_counting(condition="{{ 0 }}", most=3))).start()
    driven.work_one()
    driven.send(KillAsked())
    assert (driven.state, driven.one("u").state.current) == (State.KILLED, State.KILLED)
