"""What a flow promises, what runs once an execution has ended, and executions made in place of failed ones."""

from __future__ import annotations

from typing import Any

import pytest
from engine_driving import EPOCH, SECOND, Driver, a_flow, fail, log, of

from orchestrator.engine.aftermath import is_over
from orchestrator.engine.events import KillAsked, RunEnded, RunStopped, TimerFired, TimerKind
from orchestrator.engine.restarting import restarted
from orchestrator.errors import Refused
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State

ANEW = {"type": "constant", "interval": "PT2S", "behavior": "CREATE_NEW_EXECUTION"}


def _longest(behavior: str, seconds: int = 5, **fields: Any) -> dict[str, Any]:
    return {"id": "in_time", "type": "MAX_DURATION", "duration": f"PT{seconds}S", "behavior": behavior, **fields}


def _holds(behavior: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"id": "holds", "type": "EXECUTION_ASSERTION", "assert": text, "behavior": behavior, **fields}


def _labels(driven: Driver) -> dict[str, str]:
    return {label.key: label.value for label in driven.view.execution.labels}


def _idle(driven: Driver, run: TaskRun) -> None:
    return None


# --- how long it takes


@pytest.mark.parametrize(("behavior", "ends"), [("FAIL", State.FAILED), ("CANCEL", State.CANCELLED)])
def test_what_takes_too_long_is_stopped_and_ends_once_it_is_gone(behavior: str, ends: State) -> None:
    driven = Driver(a_flow(log("a"), log("b"), sla=[_longest(behavior, labels={"sla": "missed"})]), worker=_idle).start()
    driven.work_one()
    driven.now = EPOCH + 5 * SECOND
    driven.send(TimerFired(TimerKind.SLA))
    assert driven.state is State.KILLING
    (stop,) = driven.stops
    driven.send(RunStopped(stop.task_run_id, stop.lease))
    assert (driven.history[-2:], driven.states()) == (["KILLING", ends.value], [("a", "KILLED")])
    assert _labels(driven) == {"sla": "missed"}
    assert any("SLA 'in_time' violated" in said.message for said in driven.said)


def test_a_promise_that_only_labels_lets_it_go_on_and_is_broken_once() -> None:
    driven = Driver(a_flow(log("a"), sla=[_longest("NONE", labels={"sla": "missed"})]), worker=_idle).start()
    driven.work_one()
    driven.now = EPOCH + 5 * SECOND
    driven.send(TimerFired(TimerKind.SLA))
    assert driven.send(TimerFired(TimerKind.SLA)).empty
    assert (driven.state, _labels(driven)) == (State.RUNNING, {"sla": "missed"})


def test_a_deadline_that_passed_while_nobody_was_there_is_told_after_the_restart() -> None:
    driven = Driver(a_flow(log("a"), sla=[_longest("FAIL")]), worker=_idle).start()
    driven.now = EPOCH + 9 * SECOND
    driven.restart()
    assert [(timer.kind, timer.at) for timer in driven.timers] == [(TimerKind.SLA, EPOCH + 5 * SECOND)]


def test_a_stop_for_a_promise_ends_as_it_says_after_a_restart_too() -> None:
    driven = Driver(a_flow(log("a"), sla=[_longest("CANCEL")]), worker=_idle).start()
    driven.work_one()
    driven.now = EPOCH + 5 * SECOND
    driven.send(TimerFired(TimerKind.SLA))
    (stop,) = driven.stops
    driven.restart()
    driven.send(RunStopped(stop.task_run_id, stop.lease))
    assert driven.state is State.CANCELLED


def test_a_paused_execution_is_held_to_its_duration() -> None:
    driven = Driver(a_flow(of("Pause", "p"), sla=[_longest("FAIL")])).run()
    assert (driven.state, driven.states()) == (State.FAILED, [("p", "KILLED")])


# --- what holds


def test_an_assertion_that_does_not_hold_keeps_every_task_from_beginning() -> None:
    driven = Driver(a_flow(log("a"), sla=[_holds("CANCEL", "{{ inputs['n'] > 1 }}")]), inputs={"n": 1}).run()
    assert (driven.history, driven.states()) == (["CREATED", "RUNNING", "CANCELLED"], [])


def test_an_assertion_on_outputs_says_nothing_before_they_are_there() -> None:
    made = {"id": "a", "type": "Return", "format": "{{ inputs['n'] }}"}
    flow = a_flow(made, log("b"), sla=[_holds("FAIL", "{{ outputs['a']['value'] == 1 }}", labels={"sla": "broken"})], inputs=[{"id": "n", "type": "INT"}])
    assert Driver(flow, inputs={"n": 1}).run().state is State.SUCCESS
    broken = Driver(flow, inputs={"n": 2}).run()
    assert (broken.state, broken.states(), _labels(broken)) == (State.FAILED, [("a", "SUCCESS")], {"sla": "broken"})


def test_promises_of_one_id_are_kept_apart() -> None:
    both = [_holds("CANCEL", "{{ inputs['s'] != 'CANCEL' }}"), _holds("NONE", "{{ inputs['s'] != 'LABEL' }}", labels={"sla": "violated"})]
    flow = a_flow(log("a"), sla=both, inputs=[{"id": "s", "type": "STRING"}])
    kept, labelled, cancelled = (Driver(flow, inputs={"s": word}).run() for word in ("PASS", "LABEL", "CANCEL"))
    assert [(one.state, _labels(one)) for one in (kept, labelled, cancelled)] == [
        (State.SUCCESS, {}),
        (State.SUCCESS, {"sla": "violated"}),
        (State.CANCELLED, {}),
    ]


# --- after the end


def test_tasks_run_after_the_end_and_leave_its_state_alone() -> None:
    flow = a_flow(fail("a"), afterExecution=[{"id": "told", "type": "Return", "format": "{{ execution['state'] }}"}, fail("x"), log("never")])
    driven = Driver(flow).run()
    assert (driven.history, driven.states()) == (["CREATED", "RUNNING", "FAILED"], [("a", "FAILED"), ("told", "SUCCESS"), ("x", "FAILED")])
    assert driven.one("told").outputs == {"value": "FAILED"}


def test_every_listener_that_is_meant_runs_whatever_becomes_of_the_others() -> None:
    listeners = [{"tasks": [fail("ko")]}, {"conditions": [{"type": "c"}], "tasks": [log("no")]}, {"tasks": [log("l2")]}]
    driven = Driver(a_flow(log("a"), listeners=listeners))
    driven.listening = lambda at: at != 1
    driven.run()
    assert (driven.state, driven.states()) == (State.SUCCESS, [("a", "SUCCESS"), ("ko", "FAILED"), ("l2", "SUCCESS")])
    assert is_over(driven.view)


@pytest.mark.parametrize("conditions", [[], [{"type": "c"}]])
def test_what_runs_after_the_end_is_taken_up_after_a_restart(conditions: list[dict[str, str]]) -> None:
    flow = a_flow(log("a"), listeners=[{"conditions": conditions, "tasks": [log("l")]}], afterExecution=[of("Sequential", "s", log("b"), log("c"))])
    driven = Driver(flow)
    driven.start()
    while not is_over(driven.view):
        driven.restart()
        driven.work_one()
    assert driven.states() == [("a", "SUCCESS"), ("l", "SUCCESS"), ("s", "SUCCESS"), ("b", "SUCCESS"), ("c", "SUCCESS")]


def test_what_runs_after_the_end_can_be_killed() -> None:
    driven = Driver(a_flow(log("a"), afterExecution=[of("Sequential", "s", log("b"), log("c")), log("d")]))
    driven.start()
    driven.work_one()
    driven.send(KillAsked())
    (stop,) = driven.stops
    driven.send(RunStopped(stop.task_run_id, stop.lease))
    assert (driven.state, driven.states()) == (State.SUCCESS, [("a", "SUCCESS"), ("s", "KILLED"), ("b", "KILLED")])
    assert is_over(driven.view)


def test_a_failure_after_the_end_is_nothing_to_restart_from() -> None:
    driven = Driver(a_flow(log("a"), afterExecution=[fail("x")])).run()
    with pytest.raises(Refused):
        restarted(driven.view, driven.now)
    failed = Driver(a_flow(fail("a"), afterExecution=[fail("x")])).run()
    reopened = restarted(failed.view, failed.now)
    assert ([run.task_id for run in reopened.runs], reopened.execution.after) == (["a"], None)


# --- another execution in place of this one


def test_a_task_may_have_another_execution_made_in_place_of_its_own() -> None:
    driven = Driver(a_flow(fail("a", retry={**ANEW, "maxAttempts": 3}), log("b"), errors=[log("e")], **{"finally": [log("f")]})).run()
    assert (driven.state, driven.states()) == (State.RETRIED, [("a", "RETRIED")])
    assert [command.at - driven.now for command in driven.anew] == [2 * SECOND]
    assert len(driven.one("a").attempts) == 1


def test_a_flow_may_have_another_execution_made_once_all_of_it_has_ended() -> None:
    driven = Driver(a_flow(of("Sequential", "s", fail("a")), errors=[log("e")], retry={**ANEW, "maxAttempts": 3})).run()
    assert (driven.state, driven.states()) == (State.RETRIED, [("s", "RETRIED"), ("a", "RETRIED"), ("e", "SUCCESS")])
    assert len(driven.anew) == 1


def test_a_spent_retry_fails_the_last_execution() -> None:
    metadata = {"attemptNumber": 3, "originalCreatedDate": EPOCH}
    for flow in (a_flow(fail("a", retry={**ANEW, "maxAttempts": 3})), a_flow(fail("a"), retry={**ANEW, "maxAttempts": 3})):
        driven = Driver(flow, metadata=metadata).run()
        assert (driven.state, driven.states(), driven.anew) == (State.FAILED, [("a", "FAILED")], [])


def test_the_longest_time_of_a_retry_counts_from_the_first_execution() -> None:
    flow = a_flow(fail("a", retry={**ANEW, "maxDuration": "PT6S"}))
    spent = Driver(flow, metadata={"attemptNumber": 2, "originalCreatedDate": EPOCH - 4 * SECOND}).run()
    assert (spent.state, spent.anew) == (State.FAILED, [])


def test_what_runs_beside_may_end_and_what_waits_is_given_up() -> None:
    retried = fail("a", retry={**ANEW, "maxAttempts": 3})
    beside = of("Sequential", "s", log("b"), log("c"))
    driven = Driver(a_flow(of("Parallel", "all", of("Pause", "p"), beside, retried)), worker=_idle)
    driven.start()
    while driven.waiting:
        driven.work_one()
    driven.send(RunEnded(driven.outcome(driven.one("a"), "FAILED")))
    assert dict(driven.states()) == {"all": "RUNNING", "p": "KILLED", "s": "RUNNING", "b": "RUNNING", "a": "RETRIED"}
    driven.send(RunEnded(driven.outcome(driven.one("b"), "SUCCESS")))
    assert (driven.state, driven.one("s").state.current, driven.one("all").state.current) == (State.RETRIED, State.RETRIED, State.RETRIED)
    assert len(driven.anew) == 1
