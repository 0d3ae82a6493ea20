"""Conditions of triggers, as flow authors write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.errors import NotFound
from orchestrator.lang.conditions import ConditionFailed, ConditionInvalid, Conditions, Judge, condition_of
from orchestrator.lang.expressions import Renderer
from orchestrator.model.state import State
from orchestrator.model.values import Label
from orchestrator.sdk import ExecutionFacts

S = State
FACTS = ExecutionFacts(
    namespace="company.team.data",
    flow_id="load",
    state=S.SUCCESS,
    labels=(Label(key="team", value="data"), Label(key="env", value="prod")),
    outputs={"count": 3},
    attempts=((S.FAILED, S.SUCCESS), (S.KILLED,)),
)
VARIABLES: Mapping[str, Any] = {"trigger": {"date": "2024-05-06T12:00:00+02:00"}, "vars": {"day": "MONDAY"}}


def holds(kind: str, execution: ExecutionFacts | None = FACTS, **properties: Any) -> bool:
    judge = Judge(Renderer(), VARIABLES, flow=("company.team", "listener"), execution=execution)
    return judge.tests({"type": f"core.condition.{kind}", **properties})


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"after": "2024-05-06T09:59:59Z"}, True),
        ({"after": "2024-05-06T10:00:00Z"}, False),
        ({"before": "2024-05-06T12:00:00+02:00"}, False),
        ({"before": "2024-05-06T12:00:01+02:00[Europe/Paris]", "after": "2024-01-01T00:00:00Z"}, True),
        ({"date": "{{ trigger.date }}", "before": "{{ '2030-01-01T00:00:00Z' }}"}, True),
    ],
)
def test_date_times_are_compared_as_instants_and_bounds_are_left_out(properties: dict[str, Any], expected: bool) -> None:
    assert holds("DateTimeBetween", **properties) is expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"after": "11:59:59+02:00"}, True),
        ({"after": "09:59:59Z", "before": "10:00:01Z"}, True),
        ({"after": "12:00:00+02:00"}, False),
        ({"before": "12:00:00+03:00"}, False),
    ],
)
def test_times_of_day_are_compared_with_their_offsets(properties: dict[str, Any], expected: bool) -> None:
    assert holds("TimeBetween", **properties) is expected


@pytest.mark.parametrize("kind", ["DateTimeBetween", "TimeBetween"])
def test_a_bound_is_needed_and_must_be_readable(kind: str) -> None:
    with pytest.raises(ConditionInvalid, match="`before` or `after` must be given"):
        condition_of({"type": f"core.condition.{kind}"})
    with pytest.raises(ConditionInvalid):
        condition_of({"type": f"core.condition.{kind}", "after": "soon"})


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("DayWeek", {"dayOfWeek": "MONDAY"}, True),
        ("DayWeek", {"dayOfWeek": "{{ vars.day }}"}, True),
        ("DayWeek", {"dayOfWeek": "SUNDAY", "date": "2024-05-05"}, True),
        ("DayWeek", {"dayOfWeek": "MONDAY", "date": "2024-05-05T23:30:00-05:00"}, False),  # the day that is written, wherever it is
        ("DayWeekInMonth", {"dayOfWeek": "MONDAY", "dayInMonth": "FIRST"}, True),
        ("DayWeekInMonth", {"dayOfWeek": "MONDAY", "dayInMonth": "LAST", "date": "2024-04-29"}, True),
        ("DayWeekInMonth", {"dayOfWeek": "MONDAY", "dayInMonth": "FOURTH", "date": "2024-04-29"}, False),
        ("DayWeekInMonth", {"dayOfWeek": "THURSDAY", "dayInMonth": "LAST", "date": "2024-02-29"}, True),
        ("Weekend", {}, False),
        ("Weekend", {"date": "2024-05-04"}, True),
        ("PublicHoliday", {"date": "2024-07-04"}, True),
        ("PublicHoliday", {"date": "2024-07-14", "country": "fr"}, True),
        ("PublicHoliday", {"date": "2024-03-08", "country": "DE", "subDivision": "be"}, True),
        ("PublicHoliday", {"date": "2024-03-08", "country": "DE"}, False),
    ],
)
def test_days_are_those_that_the_date_writes(kind: str, properties: dict[str, Any], expected: bool) -> None:
    assert holds(kind, **properties) is expected


def test_a_country_that_is_not_known_is_told() -> None:
    with pytest.raises(ConditionFailed, match="no public holidays are known for QQ"):
        holds("PublicHoliday", country="QQ")


@pytest.mark.parametrize(
    ("kind", "properties", "expected"),
    [
        ("ExecutionFlow", {"namespace": "company.team.data", "flowId": "load"}, True),
        ("ExecutionFlow", {"namespace": "company.team", "flowId": "load"}, False),
        ("ExecutionNamespace", {"namespace": "company.team.data"}, True),
        ("ExecutionNamespace", {"namespace": "company"}, False),
        ("ExecutionNamespace", {"namespace": "company", "prefix": True}, True),
        ("ExecutionNamespace", {"namespace": "data", "comparison": "SUFFIX", "prefix": True}, True),
        ("ExecutionLabels", {"labels": {"team": "data"}}, True),
        ("ExecutionLabels", {"labels": [{"key": "team", "value": "data"}, {"key": "env", "value": "dev"}]}, False),
        ("ExecutionOutputs", {"expression": "{{ trigger.outputs.count > 2 }}"}, True),
        ("ExecutionOutputs", {"expression": "{{ trigger.outputs.count > 3 }}"}, False),
        ("ExecutionStatus", {"in": ["SUCCESS", "WARNING"]}, True),
        ("ExecutionStatus", {"notIn": ["SUCCESS"]}, False),
        ("ExecutionStatus", {}, True),
        ("HasRetryAttempt", {"in": ["FAILED"]}, True),
        ("HasRetryAttempt", {"in": ["KILLED"]}, False),  # of a task run that was not tried again
        ("HasRetryAttempt", {"in": ["FAILED"], "notIn": ["FAILED"]}, False),
        ("FlowCondition", {"namespace": "company.team", "flowId": "listener"}, True),
        ("FlowNamespaceCondition", {"namespace": "company", "prefix": True}, True),
        ("FlowNamespaceCondition", {"namespace": "company"}, False),
        ("Expression", {"expression": "{{ 0 }}"}, True),
        ("Expression", {"expression": " {{ false }} "}, False),
        ("Expression", {"expression": "{{ '' }}"}, False),
    ],
)
def test_executions_are_let_pass_by_what_they_are(kind: str, properties: dict[str, Any], expected: bool) -> None:
    assert holds(kind, **properties) is expected


def test_conditions_are_combined() -> None:
    monday, sunday = ({"type": "core.condition.DayWeek", "dayOfWeek": day} for day in ("MONDAY", "SUNDAY"))
    assert holds("Or", conditions=[sunday, monday])
    assert not holds("Or", conditions=[sunday])
    assert holds("Not", conditions=[sunday])
    assert not holds("Not", conditions=[sunday, monday])
    assert holds("Not", conditions=[{"type": "core.condition.Or", "conditions": [sunday]}])


def test_without_an_execution_conditions_on_one_cannot_be_tested() -> None:
    with pytest.raises(ConditionFailed, match="there is none here"):
        holds("ExecutionStatus", None)
    with pytest.raises(ConditionFailed, match="Unable to find `nope`"):
        holds("Expression", expression="{{ nope }}")


def test_every_type_has_its_older_names() -> None:
    for new, old in [
        ("io.kestra.plugin.core.condition.DayWeek", "io.kestra.core.models.conditions.types.DayWeekCondition"),
        ("io.kestra.plugin.core.condition.Expression", "io.kestra.plugin.core.condition.ExpressionCondition"),
        ("io.kestra.plugin.core.condition.Expression", "io.kestra.core.models.conditions.types.VariableCondition"),
        ("io.kestra.plugin.core.condition.Not", "io.kestra.core.models.conditions.types.NotCondition"),
        ("io.kestra.plugin.core.condition.MultipleCondition", "io.kestra.core.models.conditions.types.MultipleCondition"),
        ("io.kestra.plugin.core.condition.ExecutionFlow", "core.condition.ExecutionFlow"),
    ]:
        assert registry.load("condition", new) is registry.load("condition", old)
    for name in registry.types("condition"):
        assert registry.load("condition", name).__doc__


def test_all_conditions_of_a_trigger_must_hold_and_its_when() -> None:
    monday = {"type": "core.condition.DayWeek", "dayOfWeek": "MONDAY"}
    judge = Judge(Renderer(), VARIABLES, flow=("n", "f"))
    assert Conditions([monday], "{{ vars.day == 'MONDAY' }}").hold(judge)
    assert not Conditions([monday], "{{ vars.day == 'SUNDAY' }}").hold(judge)
    assert not Conditions([monday, {"type": "core.condition.Weekend"}]).hold(judge)
    assert not Conditions([], False).hold(judge)
    with pytest.raises(ConditionFailed):
        Conditions([], "{{ nope }}").hold(judge)
    with pytest.raises(NotFound):
        Conditions([{"type": "core.condition.Nope"}])
