"""The view: its JSON, and what it says about a run."""

from __future__ import annotations

import json
from itertools import count

from engine_driving import Driver, a_flow, an_execution, log, of

from orchestrator.engine.events import Decision, RunReceived, Started
from orchestrator.engine.step import step
from orchestrator.engine.view import ExecutionView


def test_the_json_is_the_execution_with_its_task_runs() -> None:
    driven = Driver(a_flow(of("ForEach", "each", log("t"), values='["a"]')), labels=[{"key": "k", "value": "v"}]).run()
    shown = json.loads(driven.view.as_json())
    assert (shown["id"], shown["state"]["current"], shown["labels"]) == ("e", "SUCCESS", [{"key": "k", "value": "v"}])
    assert not {"inputs", "outputs", "variables"} & set(shown)
    assert [run["taskId"] for run in shown["taskRunList"]] == ["each", "t"]
    assert shown["taskRunList"][1]["parentTaskRunId"] == shown["taskRunList"][0]["id"]
    assert (shown["taskRunList"][1]["value"], shown["taskRunList"][1]["outputs"]) == ("a", {})


def test_the_json_follows_every_change() -> None:
    driven = Driver(a_flow(log("a"), log("b"))).start()
    assert json.loads(driven.view.as_json())["taskRunList"][0]["state"]["current"] == "CREATED"
    driven.go_on()
    assert [run["state"]["current"] for run in json.loads(driven.view.as_json())["taskRunList"]] == ["SUCCESS", "SUCCESS"]


def test_half_a_surrogate_pair_is_shown_escaped() -> None:
    driven = Driver(a_flow(log("a")), inputs={"x": "\ud800"}).run()
    assert json.loads(driven.view.as_json())["inputs"]["x"] == "\ud800"


def test_the_version_goes_up_by_one_with_every_change_of_any_row() -> None:
    driven = Driver(a_flow(log("a")))
    driven.send(Started())
    assert driven.view.execution.version == 1
    run = driven.waiting.popleft().run
    decision = driven.send(RunReceived(run.id, run.lease, "w", driven.now))
    assert decision.execution is not None
    assert (decision.execution.version, [row.id for row in decision.runs]) == (2, [run.id])


def test_a_step_leaves_the_view_as_it_is() -> None:
    driven = Driver(a_flow(of("Parallel", "p", log("a"), log("b"))))
    first = step(driven.view, Started(), driven.now, map("x{}".format, count()).__next__, driven.resolve)
    assert driven.view.runs == ()
    again = step(driven.view, Started(), driven.now, map("x{}".format, count()).__next__, driven.resolve)
    assert first == again


def test_a_run_knows_its_task_and_the_flowables_around_it() -> None:
    driven = Driver(a_flow(of("Sequential", "s", of("Parallel", "p", log("t"))))).start()
    run = driven.one("t")
    assert driven.view.spec(run).id == "t"
    assert [spec.id for spec in driven.view.ancestors(run)] == ["p", "s"]


def test_a_view_built_of_rows_knows_the_same() -> None:
    driven = Driver(a_flow(of("ForEach", "each", log("t"), values='["a", "b"]'))).start()
    view = ExecutionView(driven.flow, driven.view.execution, reversed(driven.view.runs), driven.resolve)
    run = driven.one("t")
    assert (view.spec(run).id, [parent.task_id for parent in view.parents(run)]) == ("t", ["each"])
    assert [active.id for active in view.active()] == [active.id for active in driven.view.active()]


def test_an_empty_decision_changes_nothing() -> None:
    flow = a_flow(log("a"))
    view = ExecutionView(flow, an_execution(flow), ())
    view.apply(Decision())
    assert view.execution.version == 0
