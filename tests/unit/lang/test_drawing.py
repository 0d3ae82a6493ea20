"""Flows and executions drawn as graphs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.lang.check import check
from orchestrator.lang.drawing import graph_of
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import Lifecycle

AT = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = "id: f\nnamespace: io.test\n"
LOG = "type: core.log.Log, message: x"


def _graph(source: str, runs: tuple[TaskRun, ...] = ()) -> dict[str, Any]:
    flow, found = check(HEAD + source)
    assert flow is not None, found
    return graph_of(flow, runs)


def _ways(graph: dict[str, Any]) -> set[tuple[str, str]]:
    return {(edge["source"].removeprefix("root."), edge["target"].removeprefix("root.")) for edge in graph["edges"]}


def _run(run_id: str, task_id: str, **fields: Any) -> TaskRun:
    about = {"execution_id": "e", "namespace": "io.test", "flow_id": "f", "state": Lifecycle.begin(AT)}
    return TaskRun(id=run_id, task_id=task_id, **about, **fields)


def test_tasks_follow_each_other_from_the_root_to_the_end() -> None:
    graph = _graph(f"tasks: [{{id: a, {LOG}}}, {{id: b, {LOG}}}]\n")
    assert _ways(graph) == {("$root", "a"), ("a", "b"), ("b", "$end")}
    assert [node["task"]["id"] for node in graph["nodes"] if "task" in node] == ["a", "b"]
    assert graph["clusters"] == []


def test_a_flowable_is_a_cluster_with_its_own_beginning_and_end() -> None:
    graph = _graph(f"tasks: [{{id: p, type: core.flow.Parallel, tasks: [{{id: a, {LOG}}}, {{id: b, {LOG}}}]}}]\n")
    assert _ways(graph) == {("$root", "p.$root"), ("p.$root", "p"), ("p", "p.a"), ("p", "p.b"), ("p.a", "p.$end"), ("p.b", "p.$end"), ("p.$end", "$end")}
    (cluster,) = graph["clusters"]
    assert cluster["cluster"]["uid"] == "cluster_root.p"
    assert (cluster["start"], cluster["end"], cluster["parents"]) == ("root.p.$root", "root.p.$end", [])
    assert set(cluster["nodes"]) == {"root.p", "root.p.$root", "root.p.$end", "root.p.a", "root.p.b"}


def test_errors_hang_on_the_root_and_finally_stands_before_the_end() -> None:
    graph = _graph(f"tasks: [{{id: a, {LOG}}}]\nerrors: [{{id: e, {LOG}}}]\nfinally: [{{id: z, {LOG}}}]\nafterExecution: [{{id: y, {LOG}}}]\n")
    assert {("$root", "e"), ("e", "$finally"), ("a", "$finally"), ("$finally", "z"), ("z", "$after"), ("$after", "y"), ("y", "$end")} <= _ways(graph)


def test_each_branch_of_a_choice_bears_its_name() -> None:
    graph = _graph(f"tasks: [{{id: s, type: core.flow.Switch, value: x, cases: {{X: [{{id: a, {LOG}}}]}}, defaults: [{{id: b, {LOG}}}]}}]\n")
    values = {edge["target"]: edge["relation"].get("value") for edge in graph["edges"] if edge["source"] == "root.s"}
    assert values == {"root.s.a": "X", "root.s.b": "defaults"}


def test_a_dag_is_drawn_by_what_waits_for_what() -> None:
    tasks = f"[{{task: {{id: a, {LOG}}}}}, {{task: {{id: b, {LOG}}}, dependsOn: [a]}}, {{task: {{id: c, {LOG}}}, dependsOn: [a]}}]"
    ways = _ways(_graph(f"tasks: [{{id: d, type: core.flow.Dag, tasks: {tasks}}}]\n"))
    assert {("d", "d.a"), ("d.a", "d.b"), ("d.a", "d.c"), ("d.b", "d.$end"), ("d.c", "d.$end")} <= ways
    assert ("d.a", "d.$end") not in ways


def test_an_execution_shows_every_run_of_a_loop() -> None:
    runs = (
        _run("r1", "each"),
        _run("r2", "a", parent_id="r1", iteration=0, value="x"),
        _run("r3", "a", parent_id="r1", iteration=1, value="y"),
        _run("r4", "b", parent_id="r1", iteration=0, value="x"),
    )
    graph = _graph(f"tasks: [{{id: each, type: core.flow.ForEach, values: [x, y], tasks: [{{id: a, {LOG}}}, {{id: b, {LOG}}}]}}]\n", runs)
    assert {("each", "each.a_x"), ("each", "each.a_y"), ("each.a_x", "each.b_x")} <= _ways(graph)
    shown = {node["taskRun"]["id"]: node["uid"] for node in graph["nodes"] if "taskRun" in node}
    assert shown == {"r1": "root.each", "r2": "root.each.a_x", "r3": "root.each.a_y", "r4": "root.each.b_x"}


def test_triggers_stand_before_the_root() -> None:
    graph = _graph(f"tasks: [{{id: a, {LOG}}}]\ntriggers: [{{id: t, type: core.trigger.Schedule, cron: '@daily'}}]\n")
    assert {("Triggers.$root", "Triggers.t"), ("Triggers.t", "Triggers.$end"), ("Triggers.$end", "$root")} <= _ways(graph)
    assert [cluster["cluster"]["uid"] for cluster in graph["clusters"]] == ["cluster_root.Triggers"]
