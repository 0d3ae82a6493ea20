"""Flow triggers in an executor: told of each state once, with the state saved, whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.state import State
from tests.unit.runtime.clock_house import Clock, Hour, hour

RETURN = "io.kestra.plugin.core.debug.Return"
FLOW = "io.kestra.plugin.core.trigger.Flow"
SEQUENTIAL = f"{{id: a, type: io.kestra.plugin.core.flow.Sequential, tasks: [{{id: b, type: {RETURN}, format: x, runIf: '{{{{ false }}}}'}}]}}"


def source(name: str, *, task: str = f"{{id: a, type: {RETURN}, format: '{{{{ execution.id }}}}'}}", more: str = "") -> str:
    return f"id: {name}\nnamespace: house\ntasks:\n  - {task}\n{more}"


def listener(about: str = "", *, name: str = "f", flow: str = "up", task: str | None = None, more: str = "") -> str:
    """A flow that listens to one flow, or (no `flow`) to all."""
    condition = f"conditions: [{{type: core.condition.ExecutionFlow, namespace: house, flowId: {flow}}}], " if flow else ""
    given = {"task": task} if task is not None else {}
    return source(name, more=f"triggers:\n  - {{id: t, type: {FLOW}, {condition}{about}}}\n{more}", **given)


def listening(folder: Path, check: Callable[[Hour], Awaitable[None]], clock: Clock | None = None) -> None:
    async def run() -> None:
        async with hour(folder, clock) as own:
            await check(own)

    asyncio.run(run())


async def run(own: Hour, text: str, **more: Any) -> Any:
    ended = await own.house.run(text, **more)
    await own.until(lambda: own.dead or not own.executor.live)
    return ended


OUTPUT = "outputs: [{id: count, type: INT, value: '{{ 42 }}'}]\nlabels: {team: data}"


def test_an_execution_that_ends_starts_those_who_listen_with_what_it_was(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        about = "inputs: {n: '{{ trigger.outputs.count }}', id: '{{ outputs.a.value }}'}, labels: {who: '{{ trigger.flowId }}', gone: '{{ nope }}'}"
        await own.house.flow(listener(about, more="inputs: [{id: n, type: INT}, {id: id, type: STRING}, {id: more, type: STRING}]"))
        ended = await run(own, source("up", more=OUTPUT))
        (made,) = own.executions()
        assert made.trigger is not None
        assert made.inputs == {"n": 42, "id": ended["id"], "more": None}
        assert {label.key: label.value for label in made.labels} == {"who": "up", "system.correlationId": ended["id"]}
        told = made.trigger.variables
        assert {name: told[name] for name in ("executionId", "namespace", "flowId", "flowRevision", "state", "outputs", "executionLabels", "lastTaskId")} == {
            "executionId": ended["id"],
            "namespace": "house",
            "flowId": "up",
            "flowRevision": 1,
            "state": "SUCCESS",
            "outputs": {"count": 42},
            "executionLabels": {"team": "data"},
            "lastTaskId": "a",
        }
        assert made.current is State.SUCCESS
        assert own.state().date == own.clock.now

    listening(tmp_path, check)


def test_each_state_that_it_names_is_told_once_and_in_order(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener("states: [RUNNING, SUCCESS, FAILED]"))
        await run(own, source("up"))
        await run(own, source("up", task="{id: a, type: io.kestra.plugin.core.execution.Fail}"))
        told = [one.trigger.variables["state"] for one in own.executions() if one.trigger is not None]
        assert sorted(told) == ["FAILED", "RUNNING", "RUNNING", "SUCCESS"]

    listening(tmp_path, check)


def test_nobody_is_told_of_its_own_executions_nor_of_those_it_does_not_listen_to(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener("disabled: false", flow=""))
        await own.house.flow(listener(name="g", flow="other"))
        await run(own, source("up"))
        assert (len(own.executions()), own.executions("g")) == (1, [])
        await own.ask("disable")
        await run(own, source("up"))
        assert len(own.executions()) == 1
        assert (await own.reason("g"))["kind"] == "LISTENING"

    listening(tmp_path, check)


def test_inputs_that_cannot_be_rendered_start_nothing_and_it_is_told(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener("inputs: {n: '{{ trigger.outputs.nothing }}'}", more="inputs: [{id: n, type: STRING}]"))
        ended = await run(own, source("up"))
        assert own.executions() == []
        assert any(f"No execution could be started for execution {ended['id']}" in line for line in own.lines())

    listening(tmp_path, check)


def test_a_condition_that_cannot_be_tested_is_a_no_and_it_is_told(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener("when: '{{ nope }}'"))
        await run(own, source("up"))
        assert (own.executions(), any("cannot be tested" in line for line in own.lines())) == ([], True)

    listening(tmp_path, check)


def test_a_disabled_flow_hears_nothing_and_a_deleted_one_neither(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener(more="disabled: true"))
        await run(own, source("up"))
        await own.house.flow(listener())
        await own.house.call("delete_flow", namespace="house", flow_id="f")
        await run(own, source("up"))
        assert own.executions() == []

    listening(tmp_path, check)


def test_flows_that_start_each_other_for_ever_keep_nobody_waiting(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener(name="f", flow="g", task=SEQUENTIAL))
        await own.house.flow(listener(name="g", flow="f", task=SEQUENTIAL))
        await own.house.call("create_execution", namespace="house", flow_id="g")
        await own.until(lambda: len(own.executions("g")) > 5)
        await own.house.call("delete_flow", namespace="house", flow_id="f")
        await own.settled()

    listening(tmp_path, check)


PRECONDITIONS = """preconditions: {id: p, timeWindow: {type: %s}, flows: [
      {namespace: house, flowId: up, states: [SUCCESS]}, {namespace: house, flowId: two, labels: {team: data}}],
      where: [{id: w, filters: [{field: EXPRESSION, type: IS_TRUE, value: "{{ labels.team == 'data' }}"}, {field: FLOW_ID, type: IN, values: [two]}]}]}"""


def test_what_must_come_together_does_over_a_restart_and_starts_one_execution_with_all_outputs(tmp_path: Path) -> None:
    clock = Clock()
    about = PRECONDITIONS % "DURATION_WINDOW, window: PT1H"

    async def first(own: Hour) -> None:
        await own.house.flow(listener(about, flow=""))
        await run(own, source("up", more="outputs: [{id: one, type: INT, value: 1}]"))
        await run(own, source("up", more="outputs: [{id: one, type: INT, value: 1}]"))
        reason = await own.reason()
        assert (reason["kind"], reason["evidence"]["p"]["come"]) == ("LISTENING", ["condition_1"])
        await run(own, source("two"))  # without the label
        assert own.executions() == []

    async def second(own: Hour) -> None:
        last = await run(own, source("two", more="labels: {team: data}\noutputs: [{id: two, type: INT, value: 2}]"))
        (made,) = own.executions()
        assert made.trigger is not None
        assert (made.trigger.variables["executionId"], made.trigger.variables["outputs"]) == (last["id"], {"one": 1, "two": 2})
        await run(own, source("two", more="labels: {team: data}"))
        assert len(own.executions()) == 1

    listening(tmp_path, first, clock)
    listening(tmp_path, second, clock)


def test_what_came_before_the_window_does_not_count(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener(PRECONDITIONS % "SLIDING_WINDOW, window: PT1H", flow=""))
        await run(own, source("up"))
        own.minutes(61)
        await run(own, source("two", more="labels: {team: data}"))
        assert own.executions() == []
        await run(own, source("up"))
        assert len(own.executions()) == 1

    listening(tmp_path, check)


def test_the_older_form_of_conditions_that_come_together_holds_too(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        parts = ", ".join(f"{name}: {{type: core.condition.ExecutionFlow, namespace: house, flowId: {name}}}" for name in ("up", "two"))
        status = "{type: io.kestra.core.models.conditions.types.ExecutionStatusCondition, in: [SUCCESS]}"
        both = f"{{id: m, type: core.condition.MultipleCondition, window: P1D, windowAdvance: P0D, conditions: {{{parts}}}}}"
        await own.house.flow(source("f", more=f"triggers:\n  - {{id: t, type: {FLOW}, conditions: [{status}, {both}]}}\n"))
        await run(own, source("up", task="{id: a, type: io.kestra.plugin.core.execution.Fail}"))
        await run(own, source("two"))
        assert own.executions() == []
        await run(own, source("up"))
        assert len(own.executions()) == 1

    listening(tmp_path, check)


def test_the_newer_form_may_want_some_of_what_it_names(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        flows = ", ".join(f"{{namespace: house, flowId: {name}}}" for name in ("up", "two", "three"))
        await own.house.flow(listener(f"dependsOn: [{flows}], mode: AT_LEAST, minSatisfied: 2, window: {{every: PT1H, fireOnce: true}}", flow=""))
        await run(own, source("up"))
        assert own.executions() == []
        await run(own, source("three"))
        assert len(own.executions()) == 1

    listening(tmp_path, check)


@pytest.mark.parametrize("saved", [False, True])
def test_wherever_the_executor_dies_each_end_is_told_once(tmp_path: Path, saved: bool) -> None:
    clock, lives = Clock(), 5

    async def one_life(own: Hour, commit: int | None) -> None:
        if commit == 1:
            await own.house.flow(listener())
            await own.house.flow(source("up"))
        if commit is not None:
            await own.house.call("create_execution", namespace="house", flow_id="up")
            own.die_at(commit, saved=saved)
        await own.settled()
        if commit is None:
            ups = own.executions("up")
            told = [one.trigger.variables["executionId"] for one in own.executions() if one.trigger is not None]
            assert (len(ups), sorted(told)) == (lives - 1, sorted(one.id for one in ups))
            assert {one.current for one in own.executions()} == {State.SUCCESS}

    for commit in (*range(1, lives), None):
        listening(tmp_path, lambda own, commit=commit: one_life(own, commit), clock)  # type: ignore[misc]


def test_a_status_that_is_set_by_hand_is_told(tmp_path: Path) -> None:
    async def check(own: Hour) -> None:
        await own.house.flow(listener("states: [FAILED]"))
        ended = await run(own, source("up"))
        await own.house.call("act", execution_id=ended["id"], verb="change-status", args={"status": "FAILED"})
        await own.settled()
        assert len(own.executions()) == 1

    listening(tmp_path, check)
