"""What a task changes of its execution: its variables, and that it ends here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from engine_driving import Driver, a_flow, fail, leave, log, of

from orchestrator.engine.changing import changed
from orchestrator.engine.events import RunEnded, RunStopped
from orchestrator.engine.restarting import restarted
from orchestrator.errors import Refused
from orchestrator.model.dispatch import Outcome, VariableChange
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State


def put(task_id: str, values: Mapping[str, Any], **how: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "Put", "change": {"put": dict(values), **how}}


def shown(task_id: str, template: str) -> dict[str, Any]:
    return {"id": task_id, "type": "Return", "format": template}


def doing(driven: Driver, run: TaskRun) -> Outcome:
    raw = driven.view.spec(run).raw
    if raw["type"] == "Put":
        return driven.outcome(run, "SUCCESS", variables=(VariableChange.model_validate(raw["change"]),))
    return driven.by_type(run)


def beside(*lasting: str) -> Callable[[Driver, TaskRun], Outcome | None]:
    """A worker on which some tasks go on until they are told otherwise."""
    return lambda driven, run: None if run.task_id in lasting else doing(driven, run)


# --- leaving


@pytest.mark.parametrize("state", ["SUCCESS", "WARNING", "FAILED", "CANCELLED"])
def test_nothing_begins_after_an_exit_and_the_execution_ends_as_it_says(state: str) -> None:
    driven = Driver(a_flow(log("a"), leave("out", state), log("b")), worker=doing).run()
    assert (driven.state, driven.states()) == (State(state), [("a", "SUCCESS"), ("out", "SUCCESS")])


def test_the_flowables_around_an_exit_end_as_it_says() -> None:
    inner = of("ForEach", "each", of("Sequential", "seq", leave("out", "WARNING"), log("b")), values=["x", "y"])
    driven = Driver(a_flow(inner, log("c")), worker=doing).run()
    assert driven.state is State.WARNING
    assert driven.states() == [("each", "WARNING"), ("seq", "WARNING"), ("out", "SUCCESS")]


def test_finally_runs_after_an_exit_and_errors_does_not() -> None:
    around = of("Sequential", "seq", leave("out", "FAILED"), log("b"), errors=[log("on_error")], **{"finally": [log("inner")]})
    flow = a_flow(around, log("c"), errors=[log("error")], **{"finally": [of("Sequential", "last", log("outer"))]}, afterExecution=[log("after")])
    driven = Driver(flow, worker=doing).run()
    assert driven.state is State.FAILED
    assert driven.states() == [("seq", "FAILED"), ("out", "SUCCESS"), ("inner", "SUCCESS"), ("last", "SUCCESS"), ("outer", "SUCCESS"), ("after", "SUCCESS")]


def test_what_runs_beside_an_exit_may_end_and_what_waits_is_given_up() -> None:
    many = of("Parallel", "many", of("Sequential", "long", log("lasts"), log("never")), of("Pause", "wait"), leave("out"), log("queued"))
    driven = Driver(a_flow(many, log("c")), worker=beside("lasts", "queued")).run()
    assert driven.history == ["CREATED", "RUNNING", "PAUSED", "RESTARTED", "RUNNING"]
    for task in ("lasts", "queued"):
        run = driven.one(task)
        assert run.state.current is State.RUNNING
        driven.send(RunEnded(driven.outcome(run, "SUCCESS")))
    assert driven.state is State.SUCCESS
    assert dict(driven.states()) == {"many": "SUCCESS", "long": "SUCCESS", "lasts": "SUCCESS", "wait": "KILLED", "out": "SUCCESS", "queued": "SUCCESS"}


def test_what_fails_beside_an_exit_is_not_tried_again_and_changes_no_end() -> None:
    retry = {"type": "constant", "interval": "PT1S", "maxAttempts": 3}
    driven = Driver(a_flow(of("Parallel", "many", fail("lasts", retry=retry), leave("out"))), worker=beside("lasts")).run()
    driven.send(RunEnded(driven.outcome(driven.one("lasts"), "FAILED")))
    assert (driven.state, driven.one("lasts").state.current) == (State.SUCCESS, State.FAILED)


def test_an_exit_by_killing_stops_what_runs() -> None:
    driven = Driver(a_flow(of("Parallel", "many", log("lasts"), leave("out", "KILLED")), log("b")), worker=beside("lasts")).run()
    (stop,) = driven.stops
    assert driven.state is State.KILLING
    driven.send(RunStopped(stop.task_run_id, stop.lease))
    assert (driven.state, driven.one("lasts").state.current) == (State.KILLED, State.KILLED)


def test_a_loop_that_repeats_ends_with_an_exit() -> None:
    driven = Driver(a_flow(of("Until", "until", leave("out"), condition="{{ 1 == 2 }}"), log("b")), worker=doing).run()
    assert (driven.state, driven.states()) == (State.SUCCESS, [("until", "SUCCESS"), ("out", "SUCCESS")])


def test_an_exit_is_known_after_a_restart_of_the_executor() -> None:
    driven = Driver(a_flow(of("Parallel", "many", log("lasts"), leave("out", "WARNING")), log("b")), worker=beside("lasts")).run().restart()
    driven.send(RunEnded(driven.outcome(driven.one("lasts"), "SUCCESS")))
    assert (driven.state, driven.states()[-1]) == (State.WARNING, ("out", "SUCCESS"))


def test_outputs_that_an_exit_leaves_without_their_tasks_are_left_out() -> None:
    outputs = [{"id": "total", "type": "STRING", "value": "{{ outputs.b.value }}"}]
    driven = Driver(a_flow(leave("out"), shown("b", "1"), outputs=outputs), worker=doing).run()
    assert (driven.state, driven.view.execution.outputs) == (State.SUCCESS, {})
    assert any("without its outputs" in said.message for said in driven.said)


def test_an_exit_after_the_end_changes_nothing() -> None:
    driven = Driver(a_flow(log("a"), afterExecution=[leave("out", "FAILED"), log("b")]), worker=doing).run()
    assert (driven.state, driven.states()) == (State.SUCCESS, [("a", "SUCCESS"), ("out", "SUCCESS"), ("b", "SUCCESS")])


def test_a_restart_forgets_that_the_execution_left() -> None:
    driven = Driver(a_flow(of("Parallel", "many", fail("lasts"), leave("out", "FAILED")), log("b")), worker=beside("lasts")).run()
    driven.send(RunEnded(driven.outcome(driven.one("lasts"), "FAILED")))
    assert restarted(driven.view, driven.now).execution.exit is None


# --- variables


def test_variables_that_a_task_sets_are_seen_by_what_runs_after_it() -> None:
    flow = a_flow(put("set", {"b": 2}), shown("see", "{{ [vars.a, vars.b] }}"), variables={"a": 1})
    driven = Driver(flow, worker=doing).run().restart()
    assert driven.one("see").outputs == {"value": [1, 2]}
    assert driven.view.execution.vars == {"a": 1, "b": 2}


def test_a_task_that_may_not_set_its_variables_fails_and_changes_nothing() -> None:
    flow = a_flow(put("set", {"b": 2, "a": 3}, overwrite=False), variables={"a": 1})
    driven = Driver(flow, worker=doing).run()
    assert (driven.state, driven.view.execution.vars) == (State.FAILED, None)
    assert driven.one("set").error == "Variables that exist already are not to be overwritten: a"


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({"a": 1}, {"put": {"a": 2}}, {"a": 2}),
        ({"a": {"x": 1, "y": 1}}, {"put": {"a": {"y": 2}}}, {"a": {"x": 1, "y": 2}}),
        ({"a": [1]}, {"put": {"a": [2]}}, {"a": [2]}),
        ({"a": 1, "b": 2}, {"drop": ["a"]}, {"b": 2}),
        ({"a": 1}, {"drop": ["b"], "ignore_missing": True}, {"a": 1}),
        ({"a": {"x": 1}}, {"drop": ["a"], "put": {"a": {"y": 2}}}, {"a": {"y": 2}}),
    ],
)
def test_variables_change_as_asked(before: dict[str, Any], change: dict[str, Any], after: dict[str, Any]) -> None:
    assert changed(before, VariableChange.model_validate(change)) == after


def test_a_variable_that_is_not_there_cannot_be_unset() -> None:
    with pytest.raises(Refused, match="cannot be unset: b"):
        changed({"a": 1}, VariableChange(drop=("b",)))
