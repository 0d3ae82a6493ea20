"""The core family's flowables and triggers: what they ask, and what they plan."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator import registry
from orchestrator.sdk import Flowable, Order, State, TaskFailed, Trigger

LOG = "io.kestra.plugin.core.log.Log"
A, B = {"id": "a", "type": LOG, "message": "a"}, {"id": "b", "type": LOG, "message": "b"}


def build(name: str, **properties: Any) -> Flowable:
    made: Flowable = registry.load("task", f"core.flow.{name}").model_validate({"id": "t", "type": name, **properties})
    return made


def ids(tasks: Any) -> list[str]:
    return [task.id for task in tasks]


def test_sequential_runs_in_order() -> None:
    plan = build("Sequential", tasks=[A, B], errors=[B], **{"finally": None}).plan({})
    assert (ids(plan.tasks), plan.order, plan.on_failure) == (["a", "b"], Order.SEQUENTIAL, State.FAILED)


def test_allow_failure_turns_a_failure_into_a_warning() -> None:
    assert build("AllowFailure", tasks=[A]).plan({}).on_failure is State.WARNING


def test_parallel_is_bounded_by_concurrent() -> None:
    plan = build("Parallel", tasks=[A, B], concurrent=1).plan({})
    assert (plan.order, plan.limit) == (Order.PARALLEL, 1)


@pytest.mark.parametrize("name", ["Sequential", "Parallel", "AllowFailure"])
@pytest.mark.parametrize("tasks", [[], None])
def test_a_flowable_without_tasks_is_refused(name: str, tasks: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        build(name, tasks=tasks)
    assert [error["type"] for error in caught.value.errors()] == ["too_short"]


@pytest.mark.parametrize(("answer", "branch", "result"), [("true", "then", True), ("1", "then", True), ("-0", "else", False), ("false", "else", False)])
def test_if_chooses_by_its_condition(answer: str, branch: str, result: bool) -> None:
    task = build("If", condition="{{ x }}", then=[A], **{"else": [B]})
    assert task.questions() == {"condition": "{{ x }}"}
    plan = task.plan({"condition": answer})
    assert (plan.branch, ids(plan.tasks), plan.outputs) == (branch, ["a" if result else "b"], {"evaluationResult": result})


def test_if_without_else_runs_nothing() -> None:
    assert build("If", condition=False, then=[A]).plan({"condition": False}).tasks == ()


def test_switch_takes_the_case_the_value_equals() -> None:
    task = build("Switch", value="{{ x }}", cases={1: [A], False: [B]}, defaults=None)
    assert task.plan({"value": "1"}).branch == "cases.1"
    assert ids(task.plan({"value": "false"}).tasks) == ["b"]
    assert task.plan({"value": "1"}).outputs == {"value": "1", "defaults": False}


def test_switch_falls_back_to_its_defaults() -> None:
    plan = build("Switch", value="x", cases={"y": [A]}, defaults=[B]).plan({"value": "x"})
    assert (plan.branch, plan.outputs) == ("defaults", {"value": "x", "defaults": True})


def test_switch_fails_when_nothing_fits() -> None:
    with pytest.raises(TaskFailed, match="'x'") as caught:
        build("Switch", value="x", cases={"y": [A]}).plan({"value": "x"})
    assert caught.value.outputs == {"value": "x", "defaults": True}


def test_switch_without_any_task_is_refused() -> None:
    with pytest.raises(ValidationError, match="No task defined, neither cases or default have any tasks"):
        build("Switch", value="x", cases={}, defaults=None)


def test_switch_names_its_branches() -> None:
    assert {k: ids(v) for k, v in build("Switch", value="x", cases={"y": [A]}, defaults=[B]).branches().items()} == {"cases.y": ["a"], "defaults": ["b"]}


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ('["a", "b"]', ("a", "b")),
        (["x", {"key": "my-key", "value": {"sub": 1, "bool": True}}], ("x", '{"key":"my-key","value":{"sub":1,"bool":true}}')),
        ([1, 2.5, True], ("1", "2.5", "true")),
        ("[]", ()),
        (["a", "a"], ("a",)),
        ("[[1, 2]]", ("[1,2]",)),
    ],
)
def test_each_value_is_gone_through_as_text(answer: Any, values: tuple[str, ...]) -> None:
    assert build("ForEach", values="{{ x }}", tasks=[A]).plan({"values": answer}).values == values


def test_loops_refuse_null_values() -> None:
    with pytest.raises(TaskFailed, match=r"Found '1' null values on Each, with values=\[1, null"):
        build("ForEach", values="x", tasks=[A]).plan({"values": "[1, null]"})


@pytest.mark.parametrize("answer", ["no json", '{"a": 1}', "3"])
def test_loops_refuse_what_is_no_list(answer: str) -> None:
    with pytest.raises(TaskFailed, match="must be a"):
        build("ForEach", values="x", tasks=[A]).plan({"values": answer})


def test_loops_differ_in_order_and_bound() -> None:
    one = build("ForEach", values=["a"], tasks=[A]).plan({"values": ["a"]})
    free = build("ForEach", values=["a"], concurrencyLimit=0, tasks=[A]).plan({"values": ["a"]})
    old = build("EachSequential", value=["a"], tasks=[A]).plan({"value": ["a"]})
    side = build("EachParallel", value=["a"], concurrent=2, tasks=[A]).plan({"value": ["a"]})
    assert [(p.order, p.limit) for p in (one, free, old, side)] == [
        (Order.SEQUENTIAL, 1),
        (Order.SEQUENTIAL, 0),
        (Order.SEQUENTIAL, 1),
        (Order.PARALLEL, 2),
    ]


def test_a_dag_waits_for_what_each_task_needs() -> None:
    plan = build("Dag", tasks=[{"task": A}, {"task": B, "dependsOn": ["a"]}]).plan({})
    assert (plan.order, plan.waits_for) == (Order.GRAPH, {"a": (), "b": ("a",)})


def test_a_dag_refuses_a_circle_and_names_it() -> None:
    c = {**A, "id": "c"}
    with pytest.raises(ValidationError, match=r"Cyclic dependency detected: a, b(?!,)"):
        build("Dag", tasks=[{"task": A, "dependsOn": ["b"]}, {"task": B, "dependsOn": ["a"]}, {"task": c, "dependsOn": ["b"]}])


def test_a_dag_refuses_an_unknown_task() -> None:
    with pytest.raises(ValidationError, match="Not existing task id in dependency: taskX"):
        build("Dag", tasks=[{"task": A, "dependsOn": ["taskX"]}])


def trigger(name: str, **properties: Any) -> Trigger:
    made: Trigger = registry.load("trigger", f"core.trigger.{name}").model_validate({"id": "t", "type": name, **properties})
    return made


@pytest.mark.parametrize("cron", ["* * * * *", "@hourly", "0 9 * * 1-5", "*/15 0,12 1-7/2 JAN-MAR MON", "0 0 L * ?", "0 0 ? * 5#2", "0 0 * * SUN-SAT"])
def test_schedules_read_cron(cron: str) -> None:
    assert trigger("Schedule", cron=cron, timezone="Europe/Paris")


@pytest.mark.parametrize("cron", ["$ome Inv@lid Cr0n", "* * * * * *", "60 * * * *", "* * 0 * *", "*/0 * * * *", "@often", "* * * * XYZ", ""])
def test_schedules_refuse_what_is_no_cron(cron: str) -> None:
    with pytest.raises(ValidationError, match="invalid cron expression"):
        trigger("Schedule", cron=cron)


def test_schedules_may_have_seconds_and_everything_else() -> None:
    assert trigger(
        "Schedule",
        cron="*/5 * * * * *",
        withSeconds=True,
        lateMaximumDelay="PT10S",
        recoverMissedSchedules="LAST",
        stopAfter=["FAILED"],
        inputs={"a": 1},
        conditions=[{"type": "x"}],
        scheduleConditions=[{"type": "y"}],
        backfill={"start": "2024-01-01T00:00:00Z"},
    )


@pytest.mark.parametrize("zone", ["Europe/Paris", "UTC", "Z", "+02:00", "GMT-3"])
def test_schedules_know_zones(zone: str) -> None:
    assert trigger("Schedule", cron="* * * * *", timezone=zone)


@pytest.mark.parametrize("zone", ["Nowhere/There", "Europe", "../etc/passwd", ""])
def test_schedules_refuse_unknown_zones(zone: str) -> None:
    with pytest.raises(ValidationError, match="is not a valid time-zone ID"):
        trigger("Schedule", cron="* * * * *", timezone=zone)
