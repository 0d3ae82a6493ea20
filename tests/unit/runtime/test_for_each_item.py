"""An execution for each batch of a file's rows: counted by state, their outputs put together, each started once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.blobs import Blobs
from tests.unit.runtime.executor_house import House, house

ITEM = "io.kestra.plugin.core.flow.ForEachItem"
FILES = "io.kestra.plugin.core.storage.LocalFiles"
FAIL = "io.kestra.plugin.core.execution.Fail"
SLEEP = "io.kestra.plugin.core.flow.Sleep"
RETURN = "io.kestra.plugin.core.debug.Return"

ECHO = f"""
id: child
namespace: house
inputs: [{{id: number, type: INT}}, {{id: rows, type: STRING}}]
tasks:
  - {{id: rows, type: {RETURN}, format: "{{{{ read(inputs.rows) }}}}"}}
outputs:
  - {{id: number, type: INT, value: "{{{{ inputs.number }}}}"}}
"""


def _child(task: str, more: str = "") -> str:
    return f"id: child\nnamespace: house\ninputs: [{{id: number, type: INT}}]\ntasks: [{task}]\n{more}"


def _parent(*properties: str, rows: int = 5, inputs: str = '{number: "{{ taskrun.iteration }}"}') -> str:
    lines = "".join(f"    {one}\n" for one in (*properties, f"inputs: {inputs}"))
    content = "".join(f"        row {number}\n" for number in range(rows))
    return f"""
id: parent
namespace: house
tasks:
  - id: make
    type: {FILES}
    inputs:
      items.txt: |
{content or "        "}
    outputs: [items.txt]
  - id: each
    type: {ITEM}
    items: "{{{{ outputs.make.uris['items.txt'] }}}}"
    namespace: house
    flowId: child
{lines}"""


def _run(execution: Any, task_id: str) -> Any:
    (found,) = [run for run in execution["taskRunList"] if run["taskId"] == task_id]
    return found


def _states(execution: Any) -> list[tuple[str, str]]:
    return [(run["taskId"], run["state"]["current"]) for run in execution["taskRunList"][1:]]


async def _going(own: House, execution: Any, count: int) -> list[str]:
    """The ids of the executions that were started, once so many go on."""
    await own.until(execution["id"], lambda e: any(run["outputs"].get("iterations", {}).get("RUNNING") == count for run in e["taskRunList"]))
    return [one.id for one in own.executions() if one.flow_id == "child"]


def _content(own: House, uri: str) -> str:
    path = uri.partition("/executions/")[2].partition("/")[2]
    owner = uri.partition("/executions/")[2].partition("/")[0]
    file = own.parts.executor.store.file("execution", owner, "/" + path)
    assert file is not None
    with Blobs(own.parts.executor.settings.data_dir / "storage").open(file.blob) as content:
        return content.read().decode()


def test_each_batch_has_an_execution_and_their_outputs_are_put_together(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(ECHO)
            ended = await own.run(_parent("batch: {rows: 2}", inputs='{number: "{{ taskrun.iteration }}", rows: "{{ taskrun.items }}"}'))
            assert _states(ended) == [("each", "SUCCESS"), ("each_split", "SUCCESS"), ("each_items", "SUCCESS"), ("each_merge", "SUCCESS")]
            assert _run(ended, "each_items")["outputs"] == {"numberOfBatches": 3, "iterations": {"CREATED": 0, "RUNNING": 0, "SUCCESS": 3}}
            assert _content(own, _run(ended, "each_merge")["outputs"]["subflowOutputs"]) == '{"number":0}\n{"number":1}\n{"number":2}\n'
            children = [await own.shown(one.id) for one in own.executions() if one.flow_id == "child"]
            read = {child["inputs"]["number"]: child["taskRunList"][0]["outputs"]["value"] for child in children}
            assert read == {0: "row 0\nrow 1\n", 1: "row 2\nrow 3\n", 2: "row 4\n"}
            assert {child["trigger"]["variables"]["taskRunIteration"] for child in children} == {0, 1, 2}

    asyncio.run(check())


def test_failures_are_counted_and_nothing_is_put_together(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: f, type: {FAIL}, condition: '{{{{ inputs.number == 1 }}}}'}}"))
            ended = await own.run(_parent())
            assert _states(ended) == [("each", "FAILED"), ("each_split", "SUCCESS"), ("each_items", "FAILED")]
            assert _run(ended, "each_items")["outputs"]["iterations"] == {"CREATED": 0, "RUNNING": 0, "SUCCESS": 4, "FAILED": 1}

    asyncio.run(check())


@pytest.mark.parametrize(("properties", "count"), [(("wait: false",), {"SUCCESS": 5}), (("transmitFailed: false",), {"CREATED": 0, "RUNNING": 0, "FAILED": 5})])
def test_failures_that_are_not_transmitted_change_nothing(tmp_path: Path, properties: tuple[str, ...], count: dict[str, int]) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: f, type: {FAIL}}}"))
            ended = await own.run(_parent(*properties))
            assert ended["state"]["current"] == "SUCCESS"
            assert _run(ended, "each_items")["outputs"] == {"numberOfBatches": 5, "iterations": count}
            for child in (one for one in own.executions() if one.flow_id == "child"):
                assert (await own.ended(child.id))["state"]["current"] == "FAILED"

    asyncio.run(check())


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (_parent().replace("flowId: child", "flowId: gone"), "Unable to find flow 'house'.'gone'"),
        (_parent(inputs='{number: "x{{ taskrun.iteration }}"}'), "Invalid input for `number`"),
        (_parent().replace("{{ outputs.make.uris['items.txt'] }}", "/etc/passwd"), "`items` must be the URI of a file of the internal storage"),
    ],
)
def test_what_cannot_be_started_fails_it_with_the_reason(tmp_path: Path, source: str, told: str) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: f, type: {FAIL}}}"))
            ended = await own.run(source)
            assert ended["state"]["current"] == "FAILED"
            assert told in ended["taskRunList"][-1]["error"]

    asyncio.run(check())


def test_a_restart_goes_on_with_those_that_failed_and_repeats_none(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: f, type: {FAIL}, condition: '{{{{ inputs.number == 1 }}}}'}}"))
            ended = await own.run(_parent())
            await own.call("act", execution_id=ended["id"], verb="restart")
            again = await own.until(ended["id"], lambda e: e["state"]["current"] == "FAILED" and e["metadata"]["attemptNumber"] == 2)
            assert _run(again, "each_items")["outputs"]["iterations"] == {"CREATED": 0, "RUNNING": 0, "SUCCESS": 4, "FAILED": 1}
            attempts = sorted(one.metadata.attempt_number for one in own.executions() if one.flow_id == "child")
            assert attempts == [1, 1, 1, 1, 2]

    asyncio.run(check())


def test_a_kill_ends_all_of_them(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: s, type: {SLEEP}, duration: PT30S}}"))
            execution = await own.run(_parent(), wait=False)
            children = await _going(own, execution, 5)
            await own.call("act", execution_id=execution["id"], verb="kill")
            assert _states(await own.ended(execution["id"])) == [("each", "KILLED"), ("each_split", "SUCCESS"), ("each_items", "KILLED")]
            assert [(await own.ended(child))["state"]["current"] for child in children] == ["KILLED"] * 5

    asyncio.run(check())


def test_the_next_executor_finds_those_that_were_started(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: s, type: {SLEEP}, duration: 'PT{{{{ inputs.number == 4 ? 1 : 0.2 }}}}S'}}"))
            execution = await own.run(_parent(), wait=False)
            await _going(own, execution, 1)
        async with house(tmp_path, stores_files=True) as own:
            ended = await own.ended(execution["id"])
            assert _run(ended, "each_items")["outputs"] == {"numberOfBatches": 5, "iterations": {"CREATED": 0, "RUNNING": 0, "SUCCESS": 5}}
            assert len([one for one in own.executions() if one.flow_id == "child"]) == 5

    asyncio.run(check())


def test_an_executor_that_dies_while_it_starts_them_leaves_each_to_be_started_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.calling.MOST_PER_TURN", 2)

    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            await own.flow(_child(f"{{id: s, type: {SLEEP}, duration: PT0.1S}}"))
            begins, calling = own.parts.executor.begin, own.parts.executor.calling

            def begin_some(turn: Any, flow: Any, execution: Any) -> Any:
                if execution.flow_id == "child" and execution.inputs["number"] == 2:
                    monkeypatch.setattr(calling, "go_on", lambda turn: None)  # it comes to no more than these
                return begins(turn, flow, execution)

            monkeypatch.setattr(own.parts.executor, "begin", begin_some)
            execution = await own.run(_parent(), wait=False)
            await own.until_there_are(5)
        async with house(tmp_path, stores_files=True) as own:
            ended = await own.ended(execution["id"])
            assert _run(ended, "each_items")["outputs"]["iterations"] == {"CREATED": 0, "RUNNING": 0, "SUCCESS": 5}
            assert len(own.executions()) == 6

    asyncio.run(check())
