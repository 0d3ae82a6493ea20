"""What templates may name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_driving import Driver, a_flow, fail, log, of

from orchestrator.engine.events import TimerFired
from orchestrator.engine.variables import outputs_of, variables
from orchestrator.model.execution import ExecutionTrigger, TaskRun
from orchestrator.model.values import labels_of


def _return(task_id: str, text: Any) -> dict[str, Any]:
    return {"id": task_id, "type": "Return", "format": text}


def _all(driven: Driver, run: TaskRun | None) -> dict[str, Any]:
    return variables(driven.view, run, None)[0]


def _nested() -> Driver:
    inner = of("ForEach", "inner", _return("t", "{{ parents[0]['taskrun']['value'] + '-' + taskrun['value'] }}"), values='["x", "y"]')
    return Driver(a_flow(of("ForEach", "outer", inner, _return("o", "{{ taskrun['value'] }}"), values='["a", "b"]'), log("end"))).run()


def test_names_of_the_flow_the_task_and_the_run() -> None:
    driven = Driver(a_flow(of("Sequential", "s", log("t")), variables={"v": 1}, inputs=[{"id": "i", "type": "INT"}]), inputs={"i": 3}).run()
    run = driven.one("t")
    assert _all(driven, run) == {
        "flow": {"id": "f", "namespace": "io.test", "revision": 1},
        "task": {"id": "t", "type": "Log"},
        "taskrun": {"id": run.id, "startDate": "2026-01-01T00:00:00.000Z", "attemptsCount": 1, "parentId": driven.one("s").id},
        "execution": {"id": "e", "startDate": "2026-01-01T00:00:00.000Z", "state": "SUCCESS"},
        "inputs": {"i": 3},
        "vars": {"v": 1},
        "labels": {},
        "outputs": {},
        "tasks": {"s": {"state": "SUCCESS"}, "t": {"state": "SUCCESS"}},
    }


def test_only_what_is_wanted_is_given() -> None:
    driven = Driver(a_flow(_return("a", 1), _return("b", 2)), inputs={"i": 1, "j": 2}).run()
    wanted = frozenset({("outputs", "a", "value"), ("outputs", "later"), ("inputs", "j"), ("taskrun", "value")})
    found, partial = variables(driven.view, driven.one("b"), wanted)
    assert (found["outputs"], found["inputs"], sorted(found), partial) == ({"a": {"value": 1}}, {"j": 2}, ["inputs", "outputs", "taskrun"], ())


@pytest.mark.parametrize("wanted", [frozenset({("outputs",)}), frozenset({("outputs", "*")}), frozenset({("*",)}), None])
def test_an_open_path_gives_all_outputs(wanted: frozenset[tuple[str, ...]] | None) -> None:
    driven = Driver(a_flow(_return("a", 1), _return("b", 2))).run()
    assert variables(driven.view, None, wanted)[0]["outputs"] == {"a": {"value": 1}, "b": {"value": 2}}


def test_names_of_a_run_are_not_there_for_the_execution() -> None:
    driven = Driver(a_flow(log("a"))).run()
    assert not {"task", "taskrun", "parent", "parents", "inputs", "vars"} & set(_all(driven, None))


def test_outputs_under_loops_are_nested_by_all_values() -> None:
    driven = _nested()
    tree = {"a": {"x": {"value": "a-x"}, "y": {"value": "a-y"}}, "b": {"x": {"value": "b-x"}, "y": {"value": "b-y"}}}
    assert outputs_of(driven.view, "t") == tree
    assert variables(driven.view, driven.one("end"), frozenset({("outputs", "t")})) == ({"outputs": {"t": tree}}, ())
    assert variables(driven.view, None, None)[0]["outputs"]["o"] == {"a": {"value": "a"}, "b": {"value": "b"}}


def test_inside_the_loops_only_the_own_iterations_are_given() -> None:
    driven = _nested()
    run = next(run for run in driven.all_of("t") if driven.view.paths.of(run).values == ("b", "x"))
    assert variables(driven.view, run, frozenset({("outputs", "t")})) == ({"outputs": {"t": {"b": {"x": {"value": "b-x"}}}}}, ("t",))
    after = driven.all_of("o")[1]
    given, partial = variables(driven.view, after, frozenset({("outputs", "t"), ("outputs", "o")}))
    assert given == {"outputs": {"t": {"b": {"x": {"value": "b-x"}, "y": {"value": "b-y"}}}, "o": {"b": {"value": "b"}}}}
    assert partial == ("o", "t")


def test_outputs_of_an_unknown_task_are_none() -> None:
    assert outputs_of(_nested().view, "nope") is None


def test_parents_without_value_or_outputs_are_passed_over() -> None:
    inner = of("ForEach", "in", {"id": "i", "type": "If", "condition": "true", "then": [_return("t", 1)]}, values='["1"]')
    driven = Driver(a_flow(of("ForEach", "out", of("Sequential", "s", inner), values='["b"]'))).run()
    found = _all(driven, driven.one("t"))
    assert found["parents"] == [
        {"taskrun": {"value": "1"}, "outputs": {"evaluationResult": True}},
        {"taskrun": {"value": "b"}},
    ]
    assert found["parent"] == found["parents"][0]


def test_states_of_tasks_nest_as_outputs_do() -> None:
    driven = Driver(a_flow(of("ForEach", "each", fail("t", allowFailure=True), values='["a"]'))).run()
    assert _all(driven, None)["tasks"] == {"each": {"state": "WARNING"}, "t": {"a": {"state": "WARNING"}}}


def test_attempts_count_those_that_have_ended() -> None:
    driven = Driver(a_flow(fail("t", retry={"type": "constant", "interval": "PT1S", "maxAttempts": 5}))).start()
    counts = []
    for _ in range(3):
        counts.append(_all(driven, driven.one("t"))["taskrun"]["attemptsCount"])
        driven.work_one()
        driven.now = driven.timers[-1].at
        driven.timers, timers = [], driven.timers
        driven.send(TimerFired(timers[-1].kind, timers[-1].task_run_id))
    assert counts == [0, 1, 2]


def test_labels_nest_by_their_dots_and_the_first_of_two_counts() -> None:
    labels = labels_of([{"key": "a", "value": "1"}, {"key": "system.id", "value": "x"}, {"key": "a", "value": "2"}, {"key": "a.b", "value": "3"}])
    driven = Driver(a_flow(log("t")), labels=labels)
    assert _all(driven, None)["labels"] == {"a": "1", "system": {"id": "x"}}


def test_variables_of_the_trigger_and_of_the_execution() -> None:
    driven = Driver(a_flow(log("t")), trigger=ExecutionTrigger(id="s", type="Schedule", variables={"date": "d"}), variables={"schedule": {"n": 1}})
    found = _all(driven, None)
    assert (found["trigger"], found["schedule"]) == ({"date": "d"}, {"n": 1})


def test_the_type_of_a_task_is_known_at_any_depth() -> None:
    choice = {"id": "i", "type": "If", "condition": "true", "then": [of("Sequential", "s", log("deep"))]}
    driven = Driver(a_flow(choice, errors=[log("e")])).run()
    assert _all(driven, driven.one("deep"))["task"] == {"id": "deep", "type": "Log"}


def test_what_is_given_is_json() -> None:
    driven = _nested()
    assert json.loads(json.dumps(_all(driven, driven.view.runs[3]))) == _all(driven, driven.view.runs[3])
