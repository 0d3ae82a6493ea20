"""What a person does to an execution that exists: restart, replay, other states, an expression in its context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.unit.runtime.executor_house import House, house

RETURN = "io.kestra.plugin.core.debug.Return"
ONCE = "{{ taskrun.attemptsCount == 1 ? 'ok' : missing }}"
FAILS_ONCE = f"""
id: f
namespace: house
inputs:
  - {{id: word, type: STRING, defaults: one}}
tasks:
  - {{id: a, type: {RETURN}, format: "{{{{ inputs.word }}}}"}}
  - {{id: b, type: {RETURN}, format: "{ONCE}"}}
  - {{id: c, type: {RETURN}, format: "{{{{ outputs.a.value }}}} {{{{ outputs.b.value }}}}"}}
errors:
  - {{id: e, type: {RETURN}, format: failed}}
"""

Check = Callable[[House], Coroutine[Any, Any, None]]


def _in_a_house(folder: Path, check: Check) -> None:
    async def run() -> None:
        async with house(folder) as own:
            await check(own)

    asyncio.run(run())


def _tasks(execution: Any) -> list[tuple[str, str]]:
    return [(run["taskId"], run["state"]["current"]) for run in execution["taskRunList"]]


def _state(execution: Any) -> str:
    return str(execution["state"]["current"])


async def _act(own: House, execution: Any, verb: str, **args: Any) -> Any:
    return await own.call("act", execution_id=execution["id"], verb=verb, args=args)


async def _ended(own: House, execution: Any) -> Any:
    return await own.until(execution["id"], lambda e: _state(e) in ("SUCCESS", "FAILED", "WARNING", "CANCELLED", "KILLED"))


def test_a_restart_answers_what_was_set_back_and_goes_on(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        failed = await own.run(FAILS_ONCE)
        assert _tasks(failed) == [("a", "SUCCESS"), ("b", "FAILED"), ("e", "SUCCESS")]
        answer = await _act(own, failed, "restart")
        assert (_state(answer), _tasks(answer)) == ("RESTARTED", [("a", "SUCCESS"), ("b", "RESTARTED")])
        done = await _ended(own, failed)
        assert _tasks(done) == [("a", "SUCCESS"), ("b", "SUCCESS"), ("c", "SUCCESS")]
        assert done["taskRunList"][2]["outputs"] == {"value": "one ok"}
        stored = own.parts.executor.store.task_runs(failed["id"])
        assert [run.task_id for run in stored] == ["a", "b", "c"], "the handler's run is gone from the store too"

    _in_a_house(tmp_path, check)


def test_what_was_restarted_goes_on_in_the_next_executor(tmp_path: Path) -> None:
    sleep = FAILS_ONCE.replace(f"id: c, type: {RETURN}, format:", "id: c, type: io.kestra.plugin.core.flow.Sleep, duration: PT1S, description:")

    async def check() -> None:
        async with house(tmp_path) as first:
            failed = await first.run(sleep)
            await _act(first, failed, "restart")
            await first.until(failed["id"], lambda e: ("c", "RUNNING") in _tasks(e))
        async with house(tmp_path) as second:
            done = await _ended(second, failed)
            assert _tasks(done) == [("a", "SUCCESS"), ("b", "SUCCESS"), ("c", "SUCCESS")]
            assert len(done["taskRunList"][1]["attempts"]) == 2

    asyncio.run(check())


def test_a_restart_at_another_revision_is_another_execution(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        failed = await own.run(FAILS_ONCE)
        await own.call("save_flow", source=FAILS_ONCE.replace(ONCE, "mended"), update=True)
        answer = await _act(own, failed, "restart", revision=2)
        assert answer["id"] != failed["id"]
        assert (answer["parentId"], answer["originalId"], answer["flowRevision"]) == (failed["id"], failed["id"], 2)
        done = await _ended(own, answer)
        assert done["taskRunList"][2]["outputs"] == {"value": "one mended"}
        assert _state(await _ended(own, failed)) == "FAILED"

    _in_a_house(tmp_path, check)


def test_a_revision_without_the_tasks_that_ran_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        failed = await own.run(FAILS_ONCE)
        await own.call("save_flow", source=FAILS_ONCE.replace("id: a,", "id: other,"), update=True)
        refused = await _act(own, failed, "restart", revision=2)
        assert "Task 'a' is not in revision 2" in refused["error"]["message"]
        assert len(own.parts.executor.store.executions().rows) == 1

    _in_a_house(tmp_path, check)


def test_what_did_not_fail_is_not_restarted(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(FAILS_ONCE.replace(ONCE, "well"))
        refused = await _act(own, done, "restart")
        assert refused["error"] == {"code": "refused", "message": "No task found to restart execution from!"}
        assert (await _act(own, {"id": "nowhere"}, "restart"))["error"]["code"] == "not-found"

    _in_a_house(tmp_path, check)


def test_a_replay_is_a_new_execution_of_the_same_origin(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        first = await own.run(FAILS_ONCE.replace(ONCE, "well"), inputs={"word": "two"})
        answer = await _act(own, first, "replay")
        assert (_state(answer), answer["taskRunList"], answer["parentId"], answer["originalId"]) == ("CREATED", [], first["id"], first["id"])
        done = await _ended(own, answer)
        assert done["taskRunList"][2]["outputs"] == {"value": "two well"}
        assert {"key": "system.replay", "value": "true"} in done["labels"]
        again = await _act(own, done, "replay", latest=True)
        assert (again["parentId"], again["originalId"]) == (done["id"], first["id"])
        old = (await own.call("watch", execution_id=first["id"]))["execution"]
        assert {"key": "system.replayed", "value": "true"} in old["labels"]
        await _ended(own, again)

    _in_a_house(tmp_path, check)


def test_a_replay_from_a_task_keeps_what_came_before(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        first = await own.run(FAILS_ONCE.replace(ONCE, "well"))
        answer = await _act(own, first, "replay", task_run_id=first["taskRunList"][1]["id"])
        assert (_state(answer), _tasks(answer)) == ("RESTARTED", [("a", "SUCCESS"), ("b", "RESTARTED")])
        assert not {run["id"] for run in answer["taskRunList"]} & {run["id"] for run in first["taskRunList"]}
        done = await _ended(own, answer)
        assert _tasks(done) == [("a", "SUCCESS"), ("b", "SUCCESS"), ("c", "SUCCESS")]
        assert done["taskRunList"][0]["lease"] == 1, "it did not run again"
        refused = await _act(own, first, "replay", task_run_id="nowhere")
        assert "No task found" in refused["error"]["message"]

    _in_a_house(tmp_path, check)


def test_a_replay_with_inputs_keeps_those_that_are_not_given(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        flow = FAILS_ONCE.replace(ONCE, "{{ inputs.more }}").replace("tasks:", "  - {id: more, type: STRING}\ntasks:", 1)
        first = await own.run(flow, inputs={"word": "old", "more": "older"})
        answer = await _act(own, first, "replay", inputs={"word": "new", "unknown": "x"}, files={})
        done = await _ended(own, answer)
        assert done["inputs"] == {"word": "new", "more": "older"}
        assert done["taskRunList"][2]["outputs"] == {"value": "new older"}

    _in_a_house(tmp_path, check)


def test_another_state_of_a_task_run_lets_the_execution_go_on(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        failed = await own.run(FAILS_ONCE.replace("{{ outputs.b.value }}", "anyway"))
        answer = await _act(own, failed, "state", task_run_id=failed["taskRunList"][1]["id"], state="SUCCESS")
        assert (_state(answer), _tasks(answer)) == ("RESTARTED", [("a", "SUCCESS"), ("b", "SUCCESS")])
        done = await _ended(own, failed)
        assert (_state(done), done["taskRunList"][2]["outputs"]) == ("SUCCESS", {"value": "one anyway"})

    _in_a_house(tmp_path, check)


def test_another_status_changes_nothing_else(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        failed = await own.run(FAILS_ONCE)
        answer = await _act(own, failed, "change-status", status="WARNING")
        assert (_state(answer), _tasks(answer)) == ("WARNING", _tasks(failed))
        stored = own.parts.executor.store.execution(failed["id"])
        assert stored is not None
        assert stored.current == "WARNING"
        assert failed["id"] not in own.parts.executor.live

    _in_a_house(tmp_path, check)


def test_an_expression_sees_what_the_task_run_saw(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(FAILS_ONCE.replace(ONCE, "well"))
        run = done["taskRunList"][1]
        assert await _act(own, done, "eval", expression="{{ outputs.a.value }} {{ taskrun.id }}", task_run_id=run["id"]) == {"result": f"one {run['id']}"}
        assert await _act(own, done, "eval", expression="{{ flow.id }}") == {"result": "f"}
        bad = await _act(own, done, "eval", expression="{{ missing }}")
        assert bad["error"]["code"] == "expression-failed"
        assert "Unable to find `missing`" in bad["error"]["message"]

    _in_a_house(tmp_path, check)


def test_labels_given_take_the_place_of_the_ones_before_but_not_of_the_systems(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(FAILS_ONCE.replace(ONCE, "well"))
        await _act(own, done, "labels", labels=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
        after = await _act(own, done, "labels", labels=[{"key": "a", "value": "3"}])
        assert after["labels"] == [{"key": "system.correlationId", "value": done["id"]}, {"key": "a", "value": "3"}]

    _in_a_house(tmp_path, check)
