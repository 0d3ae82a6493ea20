"""A task that starts an execution of another flow: what it hands down, what it gets back, and what becomes of both."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.values import parse_instant
from tests.unit.runtime.executor_house import House, house

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"
FAIL = "io.kestra.plugin.core.execution.Fail"
SLEEP = "io.kestra.plugin.core.flow.Sleep"
SUBFLOW = "io.kestra.plugin.core.flow.Subflow"

CHILD = f"""
id: child
namespace: house
labels: {{own: child, both: child}}
inputs:
  - {{id: name, type: STRING, defaults: nobody}}
tasks:
  - {{id: greet, type: {RETURN}, format: "hello {{{{ inputs.name }}}}"}}
outputs:
  - {{id: greeting, type: STRING, value: "{{{{ outputs.greet.value }}}}"}}
"""


def _child(task: str) -> str:
    return f"{{id: child, namespace: house, tasks: [{task}]}}"


FAILING = _child(f"{{id: f, type: {FAIL}}}")
SLEEPING = _child(f"{{id: s, type: {SLEEP}, duration: PT30S}}")


def _parent(*properties: str, more: str = "", flow_id: str = "child") -> str:
    lines = "".join(f"    {one}\n" for one in properties)
    return f"id: parent\nnamespace: house\ntasks:\n  - id: call\n    type: {SUBFLOW}\n    namespace: house\n    flowId: {flow_id}\n{lines}{more}"


def _labels(execution: Any) -> dict[str, str]:
    return {label["key"]: label["value"] for label in execution["labels"]}


async def _children(own: House, within: float = 5, count: int = 1) -> list[Any]:
    """The executions of the child's flow once there are so many, oldest first."""
    async with asyncio.timeout(within):
        while True:
            found = [e for e in own.executions() if e.flow_id == "child"]
            if len(found) >= count:
                return [await own.shown(e.id) for e in found]
            await asyncio.sleep(0.02)


def test_a_subflow_gets_inputs_and_gives_its_outputs_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(CHILD)
            parent = await own.run(_parent('inputs: {name: "{{ flow.id }}"}'))
            (call,) = parent["taskRunList"]
            (child,) = await _children(own)
            assert parent["state"]["current"] == "SUCCESS"
            assert call["outputs"] == {"executionId": child["id"], "state": "SUCCESS", "outputs": {"greeting": "hello parent"}}
            assert [a["state"]["current"] for a in call["attempts"]] == ["SUCCESS"]
            assert (child["trigger"]["type"], child["trigger"]["id"]) == (SUBFLOW, "call")
            assert child["trigger"]["variables"]["executionId"] == parent["id"]

    asyncio.run(check())


@pytest.mark.parametrize("inherits", [True, False])
def test_labels_are_handed_down_where_that_is_asked_for(tmp_path: Path, inherits: bool) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(CHILD)
            source = _parent(f"inheritLabels: {str(inherits).lower()}", 'labels: {task: "{{ flow.id }}"}') + "labels: {mine: parent, both: parent}\n"
            parent = await own.run(source)
            (child,) = await _children(own)
            expected = {"own": "child", "both": "child", "task": "parent", "system.correlationId": parent["id"]}
            assert _labels(child) == expected | ({"mine": "parent"} if inherits else {})

    asyncio.run(check())


@pytest.mark.parametrize(
    ("properties", "state"), [((), "FAILED"), (("transmitFailed: false",), "SUCCESS"), (("allowFailure: true",), "WARNING"), (("wait: false",), "SUCCESS")]
)
def test_a_failure_is_transmitted_unless_it_is_not_to_be(tmp_path: Path, properties: tuple[str, ...], state: str) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(FAILING)
            parent = await own.run(_parent(*properties))
            assert parent["state"]["current"] == state
            (child,) = await _children(own)
            assert (await own.ended(child["id"]))["state"]["current"] == "FAILED"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("properties", "flow_id", "told"),
    [
        ((), "nowhere", "Unable to find flow 'house'.'nowhere'"),
        (("revision: 7",), "child", "Unable to find flow 'house'.'child' with revision 7"),
        (("labels: {system.x: y}",), "child", "System labels can only be set by Kestra itself, offending label: system.x"),
        (('revision: "{{ 1 }}x"',), "child", "`revision` must be a number, and is: 1x"),
        (("scheduleDate: tomorrow",), "child", "`scheduleDate` must be a moment"),
        (('inputs: {a: "{{ nothing.there }}"}',), "child", "nothing"),
    ],
)
def test_what_cannot_be_started_fails_the_run_with_the_reason(tmp_path: Path, properties: tuple[str, ...], flow_id: str, told: str) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(CHILD)
            parent = await own.run(_parent(*properties, flow_id=flow_id))
            (call,) = parent["taskRunList"]
            assert (parent["state"]["current"], call["state"]["current"]) == ("FAILED", "FAILED")
            assert told in call["error"]
            assert [a["state"]["current"] for a in call["attempts"]] == ["FAILED"]
            assert [e.flow_id for e in own.executions()] == ["parent"]

    asyncio.run(check())


def test_every_attempt_starts_an_execution_of_its_own(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(FAILING)
            parent = await own.run(_parent("retry: {type: constant, interval: PT0.05S, maxAttempts: 3}"))
            (call,) = parent["taskRunList"]
            assert [a["state"]["current"] for a in call["attempts"]] == ["FAILED"] * 3
            assert len(await _children(own, count=3)) == 3

    asyncio.run(check())


def test_killing_the_parent_ends_what_it_has_started_first(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING)
            parent = await own.run(_parent(), wait=False)
            (child,) = await _children(own)
            await own.until(child["id"], lambda e: bool(e["taskRunList"]) and e["taskRunList"][0]["state"]["current"] == "RUNNING")
            await own.call("act", execution_id=parent["id"], verb="kill")
            parent, child = await own.ended(parent["id"]), await own.ended(child["id"])
            assert (parent["state"]["current"], child["state"]["current"]) == ("KILLED", "KILLED")
            assert parent["state"]["endDate"] >= child["state"]["endDate"]

    asyncio.run(check())


def test_a_kill_that_does_not_cascade_leaves_the_child_alone(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING)
            parent = await own.run(_parent(), wait=False)
            (child,) = await _children(own)
            await own.call("act", execution_id=parent["id"], verb="kill", args={"cascade": False})
            assert (await own.ended(parent["id"]))["state"]["current"] == "KILLED"
            assert (await own.shown(child["id"]))["state"]["current"] == "RUNNING"
            await own.call("act", execution_id=parent["id"], verb="kill")  # cascades, though it has ended itself
            assert (await own.ended(child["id"]))["state"]["current"] == "KILLED"

    asyncio.run(check())


def test_a_killed_child_kills_the_run_that_waits_for_it(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING)
            parent = await own.run(_parent(), wait=False)
            (child,) = await _children(own)
            await own.call("act", execution_id=child["id"], verb="kill")
            assert (await own.ended(parent["id"]))["state"]["current"] == "KILLED"

    asyncio.run(check())


def test_a_timeout_ends_the_child(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING)
            parent = await own.run(_parent("timeout: PT0.2S"))
            assert (parent["state"]["current"], parent["taskRunList"][0]["cause"]) == ("FAILED", "TIMEOUT")
            (child,) = await _children(own)
            assert child["state"]["current"] == "KILLED"

    asyncio.run(check())


@pytest.mark.parametrize(("behavior", "executions"), [("RETRY_FAILED", 1), ("NEW_EXECUTION", 2)])
def test_a_restart_goes_on_with_the_failed_child_or_starts_another(tmp_path: Path, behavior: str, executions: int) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(FAILING)
            parent = await own.run(_parent(f"restartBehavior: {behavior}"))
            (first,) = await _children(own)
            await own.call("act", execution_id=parent["id"], verb="restart")
            parent = await own.until(parent["id"], lambda e: e["state"]["current"] == "FAILED" and e["metadata"]["attemptNumber"] == 2)
            children = await _children(own, count=executions)
            assert len(children) == executions
            assert children[0]["metadata"]["attemptNumber"] == (2 if executions == 1 else 1)
            assert parent["taskRunList"][0]["outputs"]["executionId"] == children[-1]["id"]
            assert children[0]["id"] == first["id"]

    asyncio.run(check())


def test_flows_that_start_each_other_without_end_are_stopped(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(_parent(flow_id="child"))
            await own.flow(f"{{id: child, namespace: house, tasks: [{{id: back, type: {SUBFLOW}, namespace: house, flowId: parent}}]}}")
            parent = await own.ended((await own.run(_parent(flow_id="child"), wait=False))["id"], within=30)
            assert parent["state"]["current"] == "FAILED"
            assert len(own.executions()) == 101
            deepest = max(own.executions(), key=lambda e: e.metadata.depth or 0)
            (run,) = (await own.shown(deepest.id))["taskRunList"]
            assert "is not started again" in run["error"]

    asyncio.run(check())


def test_the_limit_of_the_childs_flow_holds_for_subflows(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(_child(f"{{id: s, type: {SLEEP}, duration: PT0.2S}}")[:-1] + ", concurrency: {limit: 1, behavior: QUEUE}}")
            parents = [await own.run(_parent(), wait=False) for _ in range(3)]
            ended = [await own.ended(parent["id"]) for parent in parents]
            assert [one["state"]["current"] for one in ended] == ["SUCCESS"] * 3
            assert sum("QUEUED" in [s["state"] for s in child["state"]["histories"]] for child in await _children(own, count=3)) == 2

    asyncio.run(check())


def test_a_child_that_waits_for_its_turn_ends_cancelled_where_its_flow_says_so(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(SLEEPING[:-1] + ", concurrency: {limit: 1, behavior: CANCEL}}")
            first = await own.run(_parent(), wait=False)
            await _children(own)
            second = await own.run(_parent())
            assert (second["state"]["current"], second["taskRunList"][0]["outputs"]["state"]) == ("CANCELLED", "CANCELLED")
            await own.call("act", execution_id=first["id"], verb="kill")
            await own.ended(first["id"])

    asyncio.run(check())


def test_the_older_outputs_are_rendered_among_the_childs_variables(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(CHILD)
            parent = await own.run(_parent('outputs: {said: "{{ outputs.greet.value }}"}'))
            assert parent["taskRunList"][0]["outputs"]["outputs"] == {"said": "hello nobody"}
            failed = await own.run(_parent('outputs: {said: "{{ outputs.nothing.value }}"}'))
            assert failed["state"]["current"] == "FAILED"
            assert "Failed to extract outputs" in failed["taskRunList"][0]["error"]

    asyncio.run(check())


def test_a_subflow_begins_at_its_date(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            await own.flow(CHILD)
            parent = await own.run(_parent("scheduleDate: \"{{ now(format=\\\"yyyy-MM-dd'T'HH:mm:ss.SSSXXX\\\") | dateAdd(1, 'SECONDS') }}\""), wait=False)
            (child,) = await _children(own)
            assert child["state"]["current"] == "CREATED"
            ended = await own.ended(parent["id"])
            assert ended["state"]["current"] == "SUCCESS"
            (child,) = await _children(own)
            assert parse_instant(child["state"]["histories"][1]["date"]) >= parse_instant(child["scheduleDate"])

    asyncio.run(check())
