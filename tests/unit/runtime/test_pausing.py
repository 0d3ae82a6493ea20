"""Pauses, rounds, promises and what runs after the end, in a whole executor, over restarts on the same database file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.store.port import LogFilter
from tests.unit.runtime.executor_house import House, house

RETURN = "core.debug.Return"
PAUSED = f"""
id: f
namespace: house
inputs: [{{id: data, type: STRING, defaults: flows}}]
tasks:
  - id: pause
    type: core.flow.Pause
    onResume:
      - {{id: asked, type: STRING}}
      - {{id: often, type: INT, defaults: "{{{{ 1 + 1 }}}}"}}
    tasks:
      - {{id: sub, type: {RETURN}, format: "{{{{ outputs.pause.onResume.asked }}}}"}}
  - {{id: last, type: {RETURN}, format: "{{{{ outputs.pause.onResume.often }}}}"}}
"""
LOOP = f"""
id: loop
namespace: house
tasks:
  - id: until
    type: core.flow.LoopUntil
    condition: "{{{{ outputs.count.value == '3' }}}}"
    checkFrequency: {{interval: PT0.05S}}
    tasks:
      - {{id: count, type: {RETURN}, format: "{{{{ outputs.until.iterationCount }}}}"}}
"""
AFTER = f"""
id: after
namespace: house
tasks: [{{id: a, type: {RETURN}, format: x}}]
listeners:
  - conditions: [{{type: core.condition.ExecutionStatus, in: [SUCCESS]}}]
    tasks: [{{id: heard, type: {RETURN}, format: x}}]
  - conditions: [{{type: core.condition.ExecutionStatus, in: [FAILED]}}]
    tasks: [{{id: unheard, type: {RETURN}, format: x}}]
afterExecution:
  - {{id: slow, type: core.flow.Sleep, duration: PT0.3S}}
  - {{id: told, type: {RETURN}, format: "{{{{ execution.state }}}}"}}
"""
AGAIN = """
id: again
namespace: house
tasks:
  - id: fails
    type: core.execution.Fail
    retry: {type: constant, interval: PT0.2S, maxAttempts: 2, behavior: CREATE_NEW_EXECUTION}
"""

Check = Callable[[House], Coroutine[Any, Any, None]]


def _in_a_house(folder: Path, check: Check, **more: Any) -> None:
    async def run() -> None:
        async with house(folder, **more) as own:
            await check(own)

    asyncio.run(run())


def _tasks(execution: Any) -> list[tuple[str, str]]:
    return [(run["taskId"], run["state"]["current"]) for run in execution["taskRunList"]]


def _state(execution: Any) -> str:
    return str(execution["state"]["current"])


async def _act(own: House, execution: Any, verb: str, **args: Any) -> Any:
    return await own.call("act", execution_id=execution["id"], verb=verb, args=args)


async def _is(own: House, execution: Any, state: str) -> Any:
    return await own.until(execution["id"], lambda e: _state(e) == state)


def test_a_paused_execution_goes_on_with_the_values_asked_for(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        paused = await own.run(PAUSED)
        assert (_state(paused), _tasks(paused)) == ("PAUSED", [("pause", "PAUSED")])
        assert (await _act(own, paused, "resume-inputs"))["inputs"][0] == {"id": "asked", "type": "STRING"}
        refused = await _act(own, paused, "resume")
        assert "missing required input" in refused["error"]["message"]
        assert _state(await _act(own, paused, "resume", inputs={"asked": "yes", "other": "dropped"})) in ("RUNNING", "SUCCESS")
        done = await _is(own, paused, "SUCCESS")
        assert [run["outputs"].get("value") for run in done["taskRunList"]] == [None, "yes", "2"]
        assert done["taskRunList"][0]["outputs"]["onResume"] == {"asked": "yes", "often": 2}
        again = await _act(own, paused, "resume", inputs={"asked": "yes"})
        assert again["error"] == {"code": "conflict", "message": f"Execution '{paused['id']}' is not paused, can't resume it"}

    _in_a_house(tmp_path, check)


def test_a_pause_outlives_the_executor_and_holds_no_slot(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, slots=1) as first:
            paused = await first.run(PAUSED)
            assert _state(await first.run(f"{{id: g, namespace: house, tasks: [{{id: r, type: {RETURN}, format: x}}]}}")) == "SUCCESS"
        async with house(tmp_path) as second:
            assert _state(await _is(second, paused, "PAUSED")) == "PAUSED"
            await _act(second, paused, "resume", inputs={"asked": "after"})
            assert (await _is(second, paused, "SUCCESS"))["taskRunList"][1]["outputs"] == {"value": "after"}

    asyncio.run(check())


def test_a_pause_whose_time_ends_over_a_restart_goes_on_by_itself(tmp_path: Path) -> None:
    async def check() -> None:
        source = "{id: f, namespace: house, tasks: [{id: p, type: core.flow.Pause, pauseDuration: PT0.5S, behavior: WARN}]}"
        async with house(tmp_path) as first:
            paused = await first.run(source)
        async with house(tmp_path) as second:
            assert _tasks(await _is(second, paused, "WARNING")) == [("p", "WARNING")]

    asyncio.run(check())


def test_a_person_pauses_a_running_execution_and_it_stays_so_over_a_restart(tmp_path: Path) -> None:
    source = f"""
id: f
namespace: house
tasks:
  - {{id: sleep, type: core.flow.Sleep, duration: PT0.3S}}
  - {{id: next, type: {RETURN}, format: x}}
"""

    async def check() -> None:
        async with house(tmp_path) as first:
            started = await first.run(source, wait=False)
            await first.until(started["id"], lambda e: ("sleep", "RUNNING") in _tasks(e))
            assert _state(await _act(first, started, "pause")) == "PAUSED"
            assert (await _act(first, started, "pause"))["error"]["message"] == "The execution is not running"
            held = await first.until(started["id"], lambda e: _tasks(e) == [("sleep", "SUCCESS")])
            assert _state(held) == "PAUSED"
            assert [one["reason"] for one in await first.explained(started["id"])] == ["PAUSED"]
        async with house(tmp_path) as second:
            await _act(second, started, "resume")
            assert _tasks(await _is(second, started, "SUCCESS")) == [("sleep", "SUCCESS"), ("next", "SUCCESS")]

    asyncio.run(check())


def test_a_pause_explains_itself_with_the_command_that_ends_it(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        paused = await own.run(PAUSED)
        (told,) = await own.explained(paused["id"])
        assert (told["reason"], told["state"], told["taskId"]) == ("PAUSED", "PAUSED", "pause")
        assert told["since"] == paused["taskRunList"][0]["state"]["endDate"]
        assert told["fix"] == f"orchestrator execution resume {paused['id']} -i asked=VALUE"
        assert told["evidence"] == {"due": None, "asks": ["asked", "often"]}

    _in_a_house(tmp_path, check)


def test_a_leader_says_whom_it_waits_for(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        inner = "[{id: p, type: core.flow.Pause}, {id: q, type: core.flow.Pause}]"
        paused = await own.run(f"{{id: f, namespace: house, tasks: [{{id: all, type: core.flow.Parallel, tasks: {inner}}}]}}")
        (told,) = await own.explained(paused["id"], "all")
        assert (told["reason"], told["evidence"]) == ("WAITING_FOR_TASKS", {"goingOn": 2, "ended": 0})
        assert [one["taskId"] for one in await own.explained(paused["id"])] == ["p", "q"]

    _in_a_house(tmp_path, check)


def test_an_execution_with_a_date_begins_then_and_says_so(tmp_path: Path) -> None:
    async def check() -> None:
        date = datetime.now(UTC) + timedelta(hours=1)
        async with house(tmp_path) as first:
            later = await first.run(f"{{id: f, namespace: house, tasks: [{{id: r, type: {RETURN}, format: x}}]}}", wait=False, schedule_date=date.isoformat())
        async with house(tmp_path) as second:
            (told,) = await second.explained(later["id"])
            assert (told["state"], told["reason"]) == ("CREATED", "NOT_DUE")
            await _act(second, later, "force-run")
            await _is(second, later, "SUCCESS")

    asyncio.run(check())


def test_rounds_go_on_after_a_restart_and_only_the_last_is_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as first:
            started = await first.run(LOOP, wait=False)
            await first.until(started["id"], lambda e: any(run["outputs"].get("value") for run in e["taskRunList"]))
        async with house(tmp_path) as second:
            done = await second.ended(started["id"])
            assert (_state(done), _tasks(done)) == ("SUCCESS", [("until", "SUCCESS"), ("count", "SUCCESS")])
            assert done["taskRunList"][0]["outputs"]["iterationCount"] == 3
            stored = second.parts.executor.store.task_runs(started["id"])
            assert [run.task_id for run in stored] == ["until", "count"]

    asyncio.run(check())


def test_what_waits_for_its_round_says_when_that_begins(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        started = await own.run(LOOP.replace("PT0.05S", "PT1H"), wait=False)
        told = await own.until_explained(started["id"], "NOT_DUE")
        assert (told["taskId"], told["evidence"]["rounds"]) == ("until", 1)

    _in_a_house(tmp_path, check)


def test_what_runs_after_the_end_runs_once_although_the_executor_dies_meanwhile(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as first:
            started = await first.run(AFTER, wait=False)
            await first.until(started["id"], lambda e: ("slow", "RUNNING") in _tasks(e))
        async with house(tmp_path) as second:
            done = await second.until(started["id"], lambda e: ("told", "SUCCESS") in _tasks(e))
            assert _state(done) == "SUCCESS"
            assert _tasks(done) == [("a", "SUCCESS"), ("heard", "SUCCESS"), ("slow", "SUCCESS"), ("told", "SUCCESS")]
            assert done["taskRunList"][3]["outputs"] == {"value": "SUCCESS"}
            await second.call("watch", execution_id=started["id"], version=-1, seconds=0)
            assert second.parts.executor.store.settings("after:") == {}
        async with house(tmp_path) as third:
            assert third.parts.executor.live == {}

    asyncio.run(check())


def test_waiting_for_the_end_waits_for_what_runs_after_it(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        assert ("told", "SUCCESS") in _tasks(await own.run(AFTER))

    _in_a_house(tmp_path, check)


def test_another_execution_is_made_once_and_begins_in_time_over_a_restart(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as first:
            retried = await first.run(AGAIN)
            assert (_state(retried), _tasks(retried)) == ("RETRIED", [("fails", "RETRIED")])
        async with house(tmp_path) as second:
            (last,) = [one for one in second.parts.executor.store.executions().rows if one.id != retried["id"]]
            done = await second.ended(last.id)
            assert (_state(done), done["parentId"], done["originalId"]) == ("FAILED", retried["id"], retried["id"])
            assert done["metadata"]["attemptNumber"] == 2
            assert datetime.fromisoformat(done["state"]["histories"][1]["date"]) >= datetime.fromisoformat(done["scheduleDate"])
            assert second.parts.executor.store.executions().total == 2

    asyncio.run(check())


def test_a_promise_about_the_duration_is_kept_over_a_restart(tmp_path: Path) -> None:
    source = """
id: f
namespace: house
sla: [{id: in_time, type: MAX_DURATION, duration: PT0.4S, behavior: CANCEL, labels: {sla: missed}}]
tasks: [{id: sleep, type: core.flow.Sleep, duration: PT30S}]
"""

    async def check() -> None:
        async with house(tmp_path) as first:
            started = await first.run(source, wait=False)
            await first.until(started["id"], lambda e: ("sleep", "RUNNING") in _tasks(e))
        async with house(tmp_path) as second:
            done = await second.ended(started["id"])
            assert (_state(done), _tasks(done)) == ("CANCELLED", [("sleep", "KILLED")])
            assert {"key": "sla", "value": "missed"} in done["labels"]
            lines = [line.message for _, line in second.parts.executor.store.logs(LogFilter(execution_id=started["id"]))]
            assert any("SLA 'in_time' violated" in line for line in lines)

    asyncio.run(check())


def test_a_task_that_keeps_its_log_in_a_file_says_where(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run("{id: f, namespace: house, tasks: [{id: l, type: core.log.Log, message: Hello World!, logToFile: true}]}")
        (attempt,) = done["taskRunList"][0]["attempts"]
        assert attempt["logFile"].startswith("kestra://")
        assert own.parts.executor.store.logs(LogFilter(execution_id=done["id"])) == []

    _in_a_house(tmp_path, check)


def test_each_iteration_of_a_loop_has_a_state_of_its_own_whatever_its_templates_name(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        tasks = "[{id: s, type: core.state.Set, data: {v: '{{ taskrun.value }}'}}, {id: g, type: core.state.Get}]"
        done = await own.run(f"{{id: f, namespace: house, tasks: [{{id: each, type: core.flow.ForEach, values: [a, b], tasks: {tasks}}}]}}")
        keys = [run["outputs"]["key"] for run in done["taskRunList"] if run["taskId"] == "s"]
        assert len(set(keys)) == 2

    _in_a_house(tmp_path, check)
