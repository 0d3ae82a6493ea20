"""Triggers as they are written: what Flow triggers wait for, what is refused, and the task that switches them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.lang.check import check
from orchestrator.lang.conditions import Judge
from orchestrator.lang.expressions import Renderer
from orchestrator.model.state import State
from orchestrator.model.values import Label
from orchestrator.sdk import ExecutionFacts, TaskFailed
from orchestrator.sdk.fakes import FakeContext
from orchestrator_plugins.core.flow_trigger import HEARD, Flow
from orchestrator_plugins.core.toggle import Toggle
from orchestrator_plugins.core.upstream import Filter, Upstream, Where

FACTS = ExecutionFacts(namespace="a.b", flow_id="up", state=State.SUCCESS, labels=(Label(key="env", value="prod"),))


def judge(**variables: Any) -> Judge:
    return Judge(Renderer(), variables, flow=("a", "f"), execution=FACTS)


def trigger(**properties: Any) -> Flow:
    return Flow.model_validate({"id": "t", "type": "core.trigger.Flow", **properties})


def said(about: str) -> str:
    source = f"id: f\nnamespace: n\ntasks:\n  - {{id: a, type: core.log.Log, message: x}}\ntriggers:\n  - {about}\n"
    return "\n".join(f"{found.line}:{found.column} {found.message}" for found in check(source, "f.yaml")[1] if found.severity == "error")


def test_a_flow_trigger_hears_of_ends_and_pauses_unless_it_names_others() -> None:
    assert trigger().heard_states == frozenset(HEARD)
    assert {State.PAUSED, State.FAILED} < trigger().heard_states
    assert State.RUNNING not in trigger().heard_states
    assert trigger(states=["RUNNING"]).heard_states == {State.RUNNING}


EXECUTION_FLOW = {"type": "core.condition.ExecutionFlow", "namespace": "a.b", "flowId": "up"}
UP = {"namespace": "a.b", "flowId": "up"}


@pytest.mark.parametrize(
    ("properties", "flows"),
    [
        ({}, None),
        ({"conditions": [EXECUTION_FLOW]}, {("a.b", "up")}),
        ({"conditions": [{**EXECUTION_FLOW, "flowId": "{{ vars.x }}"}]}, None),
        ({"preconditions": {"id": "p", "flows": [UP, {**UP, "flowId": "two"}]}}, {("a.b", "up"), ("a.b", "two")}),
        ({"preconditions": {"id": "p", "flows": [UP, {"namespace": "a"}]}}, None),
        ({"preconditions": {"id": "p", "flows": [UP], "where": [{"id": "w", "filters": [{"field": "STATE", "type": "EQUAL_TO", "value": "x"}]}]}}, None),
        ({"dependsOn": [UP]}, {("a.b", "up")}),
    ],
)
def test_which_flows_can_matter_to_it_follows_from_what_it_names(properties: dict[str, Any], flows: set[tuple[str, str]] | None) -> None:
    assert trigger(**properties).heard_flows() == flows


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, True),
        ({"namespace": "a.b"}, True),
        ({"namespace": "a"}, False),
        ({"namespace": "a.b", "flowId": "other"}, False),
        ({"states": ["FAILED"]}, False),
        ({"labels": {"env": "prod"}}, True),
        ({"labels": {"env": "dev"}}, False),
        ({"when": "{{ x == 1 }}"}, True),
        ({"when": "{{ x == 2 }}"}, False),
        ({"when": False}, False),
    ],
)
def test_an_upstream_is_what_all_it_says_holds_of(properties: dict[str, Any], expected: bool) -> None:
    assert Upstream.model_validate(properties).test(judge(x=1)) is expected


@pytest.mark.parametrize(
    ("field", "kind", "value", "expected"),
    [
        ("FLOW_ID", "EQUAL_TO", "up", True),
        ("FLOW_ID", "NOT_EQUAL_TO", "up", False),
        ("FLOW_ID", "IN", ["x", "up"], True),
        ("FLOW_ID", "NOT_IN", ["x", "up"], False),
        ("NAMESPACE", "STARTS_WITH", "a.", True),
        ("NAMESPACE", "ENDS_WITH", ".b", True),
        ("NAMESPACE", "CONTAINS", "c", False),
        ("NAMESPACE", "REGEX", r"a\.\w", True),
        ("NAMESPACE", "REGEX", r"\w", False),
        ("STATE", "EQUAL_TO", "SUCCESS", True),
        ("EXPRESSION", "IS_TRUE", "{{ x == 1 }}", True),
        ("EXPRESSION", "IS_FALSE", "{{ x == 1 }}", False),
        ("EXPRESSION", "IS_NULL", "{{ null }}", True),
        ("EXPRESSION", "IS_NOT_NULL", "{{ x }}", True),
        ("FLOW_ID", "IS_NOT_NULL", None, True),
    ],
)
def test_a_filter_looks_at_one_field(field: str, kind: str, value: Any, expected: bool) -> None:
    given = {"values": value} if isinstance(value, list) else {"value": value}
    assert Filter.model_validate({"field": field, "type": kind, **given}).test(judge(x=1)) is expected


def test_filters_hold_together_or_one_of_them_does() -> None:
    filters = [{"field": "FLOW_ID", "type": "EQUAL_TO", "value": name} for name in ("up", "other")]
    assert not Where.model_validate({"id": "w", "filters": filters}).test(judge())
    assert Where.model_validate({"id": "w", "filters": filters, "operand": "OR"}).test(judge())


FLOW = "id: t, type: core.trigger.Flow"


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (f"{{{FLOW}, preconditions: {{id: p}}}}", "`flows` or `where` must name something to wait for"),
        (f"{{{FLOW}, states: [NOSTATE]}}", "must be one of CREATED"),
        (f"{{{FLOW}, preconditions: {{id: p, flows: [{{namespace: a, nope: 1}}]}}}}", 'Unrecognized field "nope"'),
        (f"{{{FLOW}, dependsOn: [{{namespace: a}}], mode: AT_LEAST}}", "`mode: AT_LEAST` and `minSatisfied` go together"),
        (f"{{{FLOW}, dependsOn: [{{namespace: a}}], window: {{deadline: '09:00', lookback: PT1H}}}}", "give one of"),
        (f"{{{FLOW}, conditions: [{{type: core.condition.Not, conditions: [{{type: core.condition.DayWeek, dayOfWeek: NODAY}}]}}]}}", "must be one of MONDAY"),
        (f"{{{FLOW}, conditions: [{{type: core.condition.MultipleCondition, id: m, conditions: {{a: {{type: nope}}}}}}]}}", "Invalid type: nope"),
        ("{id: t, type: core.trigger.Schedule, cron: '* * * * *', scheduleConditions: [{type: nope}]}", "Invalid type: nope"),
        ("{id: t, type: core.trigger.Schedule, cron: '15W * * * *'}", "invalid cron expression"),
        ("{id: t, type: core.trigger.ScheduleOnDates, dates: ['2024-01-01T00:00:00']}", "has no time zone"),
        ("{id: t, type: core.trigger.ScheduleOnDates}", "must not be null"),
        ("{id: t, type: core.trigger.Webhook}", "must not be null"),
        ("{id: t, type: core.trigger.Schedule, cron: '* * * * *', recoverMissedSchedules: SOME}", "must be one of ALL, LAST, NONE"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(about: str, message: str) -> None:
    found = said(about)
    assert message in found, found
    assert found.startswith("6:"), found


@pytest.mark.parametrize("name", ["Schedule", "Webhook", "Flow", "ScheduleOnDates"])
def test_every_trigger_has_its_older_name(name: str) -> None:
    assert registry.load("trigger", f"core.trigger.{name}") is registry.load("trigger", f"io.kestra.core.models.triggers.types.{name}")


def test_a_trigger_is_switched_by_a_task(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path, {"name": "t2"})
    ctx.triggers.enabled = {("acme", "flow", "t1"): True, ("other", "f", "t2"): False}
    Toggle.model_validate({"id": "a", "type": "x", "trigger": "t1"}).run(ctx)
    Toggle.model_validate({"id": "a", "type": "x", "trigger": "{{ name }}", "flowId": "f", "namespace": "other", "enabled": True}).run(ctx)
    assert ctx.triggers.enabled == {("acme", "flow", "t1"): False, ("other", "f", "t2"): True}
    with pytest.raises(TaskFailed, match=r"Unable to find trigger t9 for the flow acme\.flow"):
        Toggle.model_validate({"id": "a", "type": "x", "trigger": "t9"}).run(ctx)
