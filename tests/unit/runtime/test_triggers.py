"""Triggers in an executor over real workers in this process: evaluated on their group, never twice at once, each find an execution."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.execution import ExecutionTrigger
from orchestrator.model.state import State
from orchestrator.model.worker_group import WorkerGroup
from tests.unit.runtime.executor_house import house
from tests.unit.runtime.trigger_house import RETURN, installed, post, run

SLEEP = "{id: s, type: io.kestra.plugin.core.flow.Sleep, duration: PT30S}"


@pytest.fixture(autouse=True)
def lookouts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


def test_what_a_trigger_finds_starts_an_execution_with_its_variables(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save()
            await own.until(lambda: own.begun() > 2)
            assert own.executions() == []
            own.put("found", "news")
            (execution,) = await own.until(own.executions)
            assert execution.trigger == ExecutionTrigger(id="t", type="test.Lookout", variables={"text": "news", "group": ""})
            await own.until(lambda: own.executions()[0].current is State.SUCCESS)

    run(check)


def test_a_trigger_shows_at_once_with_its_next_date_and_goes_with_its_flow(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(interval="PT1H")
            state = own.state()
            assert state is not None
            assert (state.next_execution_date is not None, state.disabled, state.stop_after) == (True, False, ())
            await own.until(lambda: own.begun() == 1)
            await own.delete()
            assert own.state() is None

    run(check)


def test_a_trigger_is_evaluated_on_the_group_it_names_and_waits_for_a_worker_of_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "news")
            await own.save(workerGroup="{key: edge}")
            await own.until(lambda: own.lines() == [("INFO", "No workers are available for worker group 'edge': waiting for one to join")])
            assert (await own.reason())["kind"] == "NO_LIVE_WORKER"
            assert own.begun() == 0
            own.house.cluster.join("edge")
            await own.until(own.executions)
            assert own.started_with("group") == ["edge"]

    run(check)


def test_a_namespaces_default_group_holds_for_triggers_too(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path, groups=("", "edge")) as own:
            executor = own.house.parts.executor
            await executor.do(lambda turn: executor.groups.set_namespace(turn, "house", {"workerGroup": {"key": "edge"}}))
            own.put("found", "news")
            await own.save()
            await own.until(own.executions)
            assert own.started_with("group") == ["edge"]

    run(check)


def test_the_key_of_a_group_may_be_a_template_over_the_flow(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path, groups=("", "edge")) as own:
            own.put("found", "news")
            await own.save(flow="variables: {pool: edge}", workerGroup="{key: '{{ vars.pool }}'}")
            await own.until(own.executions)
            assert own.started_with("group") == ["edge"]
            await own.save(workerGroup="{key: '{{ vars.nope }}'}")
            await own.until(lambda: any("where it is to be evaluated cannot be made out" in message for _, message in own.lines()))

    run(check)


def test_a_group_that_is_not_declared_is_told_and_tried_again_later(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path, groups=("", "edge")) as own:
            executor = own.house.parts.executor
            await executor.do(lambda turn: executor.groups.declare(turn, WorkerGroup(key="edge")))
            await own.save(flow="variables: {pool: egde}", workerGroup="{key: '{{ vars.pool }}'}")
            await own.until(lambda: ("ERROR", "It cannot be evaluated: there is no worker group 'egde': did you mean 'edge'?") in own.lines())
            assert own.begun() == 0
            await executor.do(lambda turn: executor.groups.declare(turn, WorkerGroup(key="egde")))
            own.house.cluster.join("egde")
            await own.until(lambda: own.begun() > 0)

    run(check)


@pytest.mark.parametrize(("fallback", "evaluated"), [("IGNORE", True), ("FAIL", False), ("CANCEL", False)])
def test_the_fallback_of_a_group_without_workers_is_for_triggers_too(tmp_path: Path, fallback: str, evaluated: bool) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(workerGroup=f"{{key: edge, fallback: {fallback}}}")
            if evaluated:
                await own.until(lambda: own.begun() > 1)
                return
            await own.until(lambda: len(own.lines()) > 1)
            assert set(own.lines()) == {("WARN", f"No workers are available for worker group 'edge': not evaluated this time (fallback {fallback})")}
            assert own.begun() == 0

    run(check)


def test_inputs_and_labels_are_rendered_with_the_triggers_variables(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "42")
            await own.save(
                flow="inputs: [{id: n, type: INT}]\nlabels: {team: blue}",
                inputs="{n: '{{ trigger.text }}'}",
                labels="{seen: 'in {{ trigger.group }}', bad: '{{ trigger.nope }}'}",
            )
            (execution,) = await own.until(own.executions)
            assert execution.inputs == {"n": 42}
            assert {label.key: label.value for label in execution.labels} == {"team": "blue", "seen": "in ", "system.correlationId": execution.id}

    run(check)


def test_inputs_that_do_not_come_out_are_told_and_it_looks_again(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "no number")
            await own.save(flow="inputs: [{id: n, type: INT}]", inputs="{n: '{{ trigger.text }}'}")
            await own.until(own.lines)
            assert own.lines()[0][0] == "ERROR"
            assert "No execution could be started for what it has found: n: Invalid input" in own.lines()[0][1]
            own.put("found", "7")
            (execution,) = await own.until(own.executions)
            assert execution.inputs == {"n": 7}

    run(check)


def test_an_error_is_logged_with_the_trigger_and_it_looks_again_at_its_interval(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("fail", "no door there")
            await own.save()
            await own.until(lambda: own.lines().count(("ERROR", "ValueError: no door there")) >= 2)
            own.take("fail")
            own.put("found", "door")
            await own.until(own.executions)

    run(check)


def test_it_does_not_look_while_its_execution_runs_and_unlocking_frees_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "one")
            await own.save(task=SLEEP)
            (first,) = await own.until(own.executions)
            count = own.begun()
            reason = await own.reason()
            assert (reason["kind"], reason["evidence"]) == ("WAITING_FOR_EXECUTION", {"executionId": first.id})
            own.put("found", "two")
            await asyncio.sleep(0.4)  # four of its intervals
            assert own.begun() == count
            told = await own.ask("unlock")
            assert "executionId" not in told["changed"][0]
            await own.until(lambda: len(own.executions()) == 2)

    run(check)


def test_the_end_of_its_execution_frees_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "x")
            own.put("keep")
            await own.save()
            await own.until(lambda: len(own.executions()) >= 3)
            assert all(execution.current is State.SUCCESS for execution in own.executions()[:-1])

    run(check)


def test_a_deleted_execution_frees_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "x")
            await own.save(task=SLEEP, stopAfter="[SUCCESS]")
            (execution,) = await own.until(own.executions)
            await own.house.call("act", execution_id=execution.id, verb="kill")
            await own.house.until(execution.id, lambda e: e["state"]["current"] == "KILLED")
            state = own.state()
            assert state is not None
            assert (state.execution_id, state.disabled) == (None, False)

    run(check)


def test_stop_after_disables_it_once_its_execution_ends_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "x")
            await own.save(stopAfter="[SUCCESS]")
            await own.until(lambda: (state := own.state()) is not None and state.disabled)
            assert len(own.executions()) == 1
            assert (await own.reason())["kind"] == "TRIGGER_DISABLED"

    run(check)


def test_an_execution_that_its_flows_limit_refuses_frees_it_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("found", "x")
            own.put("keep")
            await own.save(task=SLEEP, flow="concurrency: {limit: 1, behavior: FAIL}", allowConcurrent="true")
            await own.until(lambda: len(own.executions()) > 2)
            assert {execution.current for execution in own.executions()[1:]} == {State.FAILED}

    run(check)


def test_polls_wait_for_no_slot(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path, slots=1) as own:
            begun = await own.house.run(f"id: busy\nnamespace: house\ntasks:\n  - {SLEEP}\n", wait=False)
            await own.house.until(begun["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
            await own.save()
            await own.until(lambda: own.begun() > 2)
            assert own.house.parts.executor.places.workers()[0].used == 1

    run(check)


# --- taking over


def test_a_worker_that_dies_is_followed_by_another_and_never_are_there_two(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path, groups=("edge",)) as own:
            own.put("hang")
            await own.save(workerGroup="{key: edge}")
            await own.until(lambda: own.begun() == 1)
            second = own.house.cluster.join("edge")
            await own.crash(own.worker("edge"))
            await own.until(lambda: own.begun() == 2)
            state = own.state()
            assert state is not None
            assert (state.worker_id, own.at_once()) == (second, 1)
            own.take("hang")
            own.put("found", "x")
            await own.until(own.executions)

    run(check)


def test_a_look_that_hangs_is_ended_at_its_timeout_and_followed_by_another(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("hang")
            await own.save(timeout="PT0.5S")
            await own.until(lambda: own.begun() == 3)
            assert own.at_once() == 1
            assert own.lines()[0] == ("ERROR", "The evaluation has outlasted its timeout of PT0.5S")

    run(check)


def test_a_changed_trigger_takes_effect_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(interval="PT1H")
            await own.until(lambda: len(own.log()) == 2)
            await own.save(interval="PT0.1S")
            await own.until(lambda: own.begun() > 2)

    run(check)


def test_a_look_by_an_older_definition_has_ended_before_the_newer_begins(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("hang")
            await own.save(interval="PT1H")
            await own.until(lambda: own.begun() == 1)
            await own.save(interval="PT2H")
            await own.until(lambda: own.begun() == 2)
            assert own.at_once() == 1

    run(check)


def test_a_flow_deleted_and_made_again_evaluates_only_once_what_was_left_has_ended(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("hang")
            await own.save()
            await own.until(lambda: own.begun() == 1)
            await own.delete()
            await own.save()
            await own.until(lambda: own.begun() == 2)
            assert own.at_once() == 1
            assert [command for command in own.house.parts.executor.store.commands() if command.kind == "stop"] == []

    run(check)


@pytest.mark.parametrize("how", ["trigger", "flow"])
def test_a_disabled_one_is_not_evaluated(tmp_path: Path, how: str) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            await own.save(**({"disabled": "true"} if how == "trigger" else {"flow": "disabled: true"}))
            await asyncio.sleep(0.3)
            assert own.begun() == 0
            assert (await own.reason())["evidence"] == {"by": "flow"}
            await own.save()
            await own.until(lambda: own.begun() > 0)

    run(check)


def test_a_person_disables_and_enables_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            own.put("hang")
            await own.save()
            await own.until(lambda: own.begun() == 1)
            (state,) = (await own.ask("disable"))["changed"]
            assert state["disabled"] is True
            await own.until(lambda: len(own.log()) == 2)
            await asyncio.sleep(0.3)
            assert own.begun() == 1
            await own.ask("enable")
            await own.until(lambda: own.begun() == 2)

    run(check)


def test_what_cannot_be_done_to_a_trigger_is_refused_clearly(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            missing = await own.ask("enable")
            assert missing["error"] == {"code": "not-found", "message": "Flow of trigger t not found"}
            await own.save(interval="PT1H")
            await own.until(lambda: len(own.log()) == 2 and (state := own.state()) is not None and state.evaluation is None)
            assert (await own.ask("unlock"))["error"] == {"code": "conflict", "message": "Trigger is not locked"}
            assert "still declares it" in (await own.ask("delete"))["error"]["message"]
            assert (await own.ask("unlock", strict=False))["changed"] == []

    run(check)


def test_a_return_task_sees_nothing_of_a_trigger_it_has_not(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            done: Any = await own.run(f"id: plain\nnamespace: house\ntasks:\n  - {{id: a, type: {RETURN}, format: '{{{{ trigger ?? \"none\" }}}}'}}\n")
            assert done["taskRunList"][0]["outputs"]["value"] == "none"

    run(check)


def test_a_trigger_is_evaluated_only_while_its_conditions_hold(tmp_path: Path) -> None:
    async def check() -> None:
        async with post(tmp_path) as own:
            condition = "[{type: core.condition.Expression, expression: \"{{ kv('open') == 'yes' and trigger.date is defined }}\"}]"
            await own.save(conditions=condition)
            await own.until(lambda: (state := own.state()) is not None and state.date is not None)
            assert own.begun() == 0
            await own.house.call("put_key", namespace="house", key="open", value="yes")
            await own.until(lambda: own.begun() > 0)

    run(check)
