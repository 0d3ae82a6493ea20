"""Which flows start which, read from their texts."""

from __future__ import annotations

from orchestrator.lang.dependencies import Edge, Relation, around, called_by, edges_of
from orchestrator.lang.flows import parse
from orchestrator.model.flow import Flow

SUBFLOW = "io.kestra.plugin.core.flow.Subflow"
LOG = "{id: t, type: io.kestra.plugin.core.log.Log, message: x}"
CORE = "io.kestra.plugin.core"
GATHERED = "    preconditions:\n      id: p\n      flows: [{namespace: a.b, flowId: up}, {namespace: c, flowId: elsewhere}]\n"


def _flow(flow_id: str, *tasks: str, namespace: str = "a.b", triggers: str = "") -> Flow:
    lines = "".join(f"  - {task}\n" for task in tasks or (LOG,))
    return parse(f"id: {flow_id}\nnamespace: {namespace}\ntasks:\n{lines}{triggers}")


def _calls(flow_id: str, task_id: str = "call", kind: str = SUBFLOW) -> str:
    return f"{{id: {task_id}, type: {kind}, namespace: a.b, flowId: {flow_id}}}"


def _hears(*conditions: str, more: str = "") -> str:
    lines = "".join(f"      - {one}\n" for one in conditions)
    return f"triggers:\n  - id: hear\n    type: {CORE}.trigger.Flow\n" + (f"    conditions:\n{lines}" if conditions else "") + more


def test_tasks_at_any_depth_are_found_and_templates_passed_over() -> None:
    deep = f"{{id: seq, type: {CORE}.flow.Sequential, tasks: [{_calls('one')}], errors: [{_calls('two', 'other', 'core.flow.Subflow')}]}}"
    each = f"{{id: each, type: {CORE}.flow.ForEachItem, items: x, namespace: a.b, flowId: three}}"
    flow = _flow("f", deep, each, _calls("'{{ inputs.x }}'", "dynamic"))
    assert called_by(flow) == [("a.b", "one"), ("a.b", "two"), ("a.b", "three")]


def test_only_flows_that_exist_are_joined_by_edges() -> None:
    flows = [_flow("f", _calls("one"), _calls("gone", "other")), _flow("one")]
    assert edges_of(flows) == [Edge(("a.b", "f"), ("a.b", "one"), Relation.FLOW_TASK)]


def test_a_trigger_hears_of_the_flows_that_its_conditions_let_pass() -> None:
    flows = [
        _flow("up"),
        _flow("elsewhere", namespace="c"),
        _flow("by-flow", triggers=_hears(f"{{type: {CORE}.condition.ExecutionFlow, namespace: a.b, flowId: up}}")),
        _flow("by-namespace", triggers=_hears(f"{{type: {CORE}.condition.ExecutionNamespace, namespace: c}}")),
        _flow("gathers", triggers=_hears(more=GATHERED)),
    ]
    found = {(edge.source[1], edge.target[1]) for edge in edges_of(flows)}
    assert found == {("up", "by-flow"), ("elsewhere", "by-namespace"), ("up", "gathers"), ("elsewhere", "gathers")}


def test_the_neighbours_are_found_and_on_demand_all_that_hang_together() -> None:
    one, two, three = (Edge(("n", a), ("n", b), Relation.FLOW_TASK) for a, b in ("ab", "bc", "cd"))
    edges = [one, two, three]
    assert around(edges, [("n", "b")]) == [one, two]
    assert around(edges, [("n", "b")], targets_only=True) == [one]
    assert around(edges, [("n", "a")], all_of_them=True) == edges
    assert around(edges, [("n", "d")], targets_only=True, all_of_them=True) == [three, two, one]
