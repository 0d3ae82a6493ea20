"""Tasks that share a folder on one worker: one after another, in one slot, and anew when the worker is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.runtime.node import Node
from tests.unit.runtime.executor_house import House, house

WORKING = "io.kestra.plugin.core.flow.WorkingDirectory"
FILES = "io.kestra.plugin.core.storage.LocalFiles"
RETURN = "io.kestra.plugin.core.debug.Return"
FAIL = "io.kestra.plugin.core.execution.Fail"
SLEEP = "io.kestra.plugin.core.flow.Sleep"
SHELL = "io.kestra.plugin.scripts.shell.Commands"
PROCESS = "taskRunner: {type: io.kestra.plugin.core.runner.Process}"

WRITE = f"{{id: write, type: {FILES}, inputs: {{out/a.txt: hello}}}}"
READ = f"{{id: read, type: {FILES}, outputs: ['out/*', '*.txt']}}"


def _flow(*tasks: str, more: str = "", above: str = "") -> str:
    lines = "".join(f"      - {task}\n" for task in tasks)
    return f"id: f\nnamespace: house\n{above}tasks:\n  - id: home\n    type: {WORKING}\n{more}    tasks:\n{lines}"


def _states(execution: Any) -> list[tuple[str, str]]:
    return [(run["taskId"], run["state"]["current"]) for run in execution["taskRunList"]]


def _run(execution: Any, task_id: str) -> Any:
    return [run for run in execution["taskRunList"] if run["taskId"] == task_id][-1]


def _nothing_is_left(folder: Path) -> None:
    """Wait until the folder is gone: it is removed once the end of the run is saved."""
    deadline = time.monotonic() + 5
    while any((folder / "work").rglob("workspace-*")):
        assert time.monotonic() < deadline, "the folder is still there"
        time.sleep(0.02)


async def _sleeping(own: House, execution: Any) -> Any:
    return await own.until(execution["id"], lambda e: any(run["taskId"] == "sleep" and run["state"]["current"] == "RUNNING" for run in e["taskRunList"]))


def test_tasks_find_the_files_of_those_before_them(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            more = "    inputFiles: {in.txt: '{{ flow.id }}'}\n    outputFiles: ['out/*']\n"
            ended = await own.run(_flow(WRITE, READ, more=more))
            assert _states(ended) == [("home", "SUCCESS"), ("write", "SUCCESS"), ("read", "SUCCESS")]
            assert sorted(_run(ended, "read")["outputs"]["uris"]) == ["in.txt", "out/a.txt"]
            assert list(_run(ended, "home")["outputs"]["outputFiles"]) == ["out/a.txt"]
            assert len(_run(ended, "home")["attempts"]) == 1
            await asyncio.to_thread(_nothing_is_left, tmp_path)

    asyncio.run(check())


def test_processes_share_the_folder_too(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            write = f"{{id: write, type: {SHELL}, {PROCESS}, commands: ['echo shared > file.txt']}}"
            read = f"{{id: read, type: {SHELL}, {PROCESS}, commands: ['test \"$(cat file.txt)\" = shared'], outputFiles: [file.txt]}}"
            ended = await own.run(_flow(write, read))
            assert _states(ended) == [("home", "SUCCESS"), ("write", "SUCCESS"), ("read", "SUCCESS")]
            assert list(_run(ended, "read")["outputs"]["outputFiles"]) == ["file.txt"]

    asyncio.run(check())


def test_one_slot_is_enough_for_all_of_them(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, slots=1) as own:
            flows = [own.run(_flow(WRITE, READ)) for _ in range(3)]
            assert [one["state"]["current"] for one in await asyncio.gather(*flows)] == ["SUCCESS"] * 3

    asyncio.run(check())


@pytest.mark.parametrize(
    ("tasks", "more", "states"),
    [
        ((f"{{id: a, type: {FAIL}}}", READ), "", [("home", "FAILED"), ("a", "FAILED")]),
        ((f"{{id: a, type: {FAIL}, allowFailure: true}}", READ), "", [("home", "WARNING"), ("a", "WARNING"), ("read", "SUCCESS")]),
        ((f"{{id: a, type: {FAIL}}}",), "    allowFailure: true\n", [("home", "WARNING"), ("a", "FAILED")]),
        ((f"{{id: a, type: {FAIL}, runIf: false}}", READ), "", [("home", "SUCCESS"), ("a", "SKIPPED"), ("read", "SUCCESS")]),
        ((f"{{id: a, type: {FAIL}}}",), f"    errors: [{READ}]\n", [("home", "FAILED"), ("a", "FAILED"), ("read", "SUCCESS")]),
        ((f"{{id: a, type: {FAIL}}}",), f"    finally: [{READ}]\n", [("home", "FAILED"), ("a", "FAILED"), ("read", "SUCCESS")]),
        ((READ,), "    runIf: '{{ 1 == 2 }}'\n", [("home", "SKIPPED")]),
        ((READ,), "    inputFiles: {../out: x}\n", [("home", "FAILED")]),
        ((READ,), "    outputFiles: [../*]\n", [("home", "FAILED"), ("read", "SUCCESS")]),
        ((READ,), "    workerGroup: {key: nobody, fallback: FAIL}\n", [("home", "FAILED")]),
    ],
)
def test_failures_and_conditions_are_those_of_any_leader(tmp_path: Path, tasks: tuple[str, ...], more: str, states: list[tuple[str, str]]) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            assert _states(await own.run(_flow(*tasks, more=more))) == states

    asyncio.run(check())


def test_a_task_of_it_is_tried_again_in_the_same_folder(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            retry = "retry: {type: constant, interval: PT0.05S, maxAttempts: 3}"
            again = f"{{id: again, type: {SHELL}, {PROCESS}, {retry}, commands: ['echo x >> n', '[ $(wc -l < n) = 3 ]']}}"
            ended = await own.run(_flow(again))
            assert _states(ended) == [("home", "SUCCESS"), ("again", "SUCCESS")]
            assert len(_run(ended, "again")["attempts"]) == 3

    asyncio.run(check())


def test_a_kill_ends_what_runs_and_removes_the_folder(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            execution = await own.run(_flow(f"{{id: sleep, type: {SLEEP}, duration: PT30S}}", READ), wait=False)
            await _sleeping(own, execution)
            await own.call("act", execution_id=execution["id"], verb="kill")
            ended = await own.ended(execution["id"])
            assert _states(ended) == [("home", "KILLED"), ("sleep", "KILLED")]
            await asyncio.to_thread(_nothing_is_left, tmp_path)

    asyncio.run(check())


def test_its_timeout_ends_what_runs(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            ended = await own.run(_flow(f"{{id: sleep, type: {SLEEP}, duration: PT30S}}", READ, more="    timeout: PT0.3S\n"))
            assert _states(ended) == [("home", "FAILED"), ("sleep", "FAILED")]
            assert _run(ended, "home")["cause"] == "TIMEOUT"

    asyncio.run(check())


def test_all_of_it_runs_anew_when_its_worker_is_lost(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=()) as own:
            lost = await own.join("")
            execution = await own.run(_flow(WRITE, f"{{id: sleep, type: {SLEEP}, duration: PT1S}}", READ), wait=False)
            await _sleeping(own, execution)
            await own.join("")
            own.cluster.lose(lost)
            ended = await own.ended(execution["id"])
            first, second = [("write", "SUCCESS"), ("sleep", "FAILED")], [("write", "SUCCESS"), ("sleep", "SUCCESS"), ("read", "SUCCESS")]
            assert _states(ended) == [("home", "SUCCESS"), *first, *second]
            assert list(_run(ended, "read")["outputs"]["uris"]) == ["out/a.txt"]
            assert _run(ended, "home")["lostWorkers"] == 1

    asyncio.run(check())


def test_it_goes_on_under_the_next_executor(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            execution = await own.run(_flow(WRITE, f"{{id: sleep, type: {SLEEP}, duration: PT1S}}", READ), wait=False)
            await _sleeping(own, execution)
        async with house(tmp_path) as own:  # its worker is another one too
            ended = await own.ended(execution["id"])
            assert ended["state"]["current"] == "SUCCESS"
            assert _states(ended)[-3:] == [("write", "SUCCESS"), ("sleep", "SUCCESS"), ("read", "SUCCESS")]

    asyncio.run(check())


def test_a_restart_begins_with_a_new_folder(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            ended = await own.run(_flow(WRITE, f"{{id: a, type: {FAIL}}}"))
            await own.call("act", execution_id=ended["id"], verb="restart")
            again = await own.until(ended["id"], lambda e: e["state"]["current"] == "FAILED" and e["metadata"]["attemptNumber"] == 2)
            assert _states(again) == [("home", "FAILED"), ("write", "SUCCESS"), ("a", "FAILED")]
            assert _run(again, "write")["id"] != _run(ended, "write")["id"]
            marked = await own.call("act", execution_id=ended["id"], verb="state", args={"task_run_id": _run(again, "a")["id"], "state": "SUCCESS"})
            assert "which is gone" in marked["error"]["message"]

    asyncio.run(check())


def test_a_restart_keeps_its_folder_when_that_of_the_first_goes_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go, gone = threading.Event(), threading.Event()
    remove = Node.remove_working_dir

    def late(node: Node, key: str) -> None:
        may_go.wait(10)
        remove(node, key)
        gone.set()

    monkeypatch.setattr(Node, "remove_working_dir", late)

    async def check() -> None:
        async with house(tmp_path) as own:
            ended = await own.run(_flow(WRITE, f"{{id: sleep, type: {SLEEP}, duration: PT0.5S}}", READ, f"{{id: a, type: {FAIL}}}"))
            await own.call("act", execution_id=ended["id"], verb="restart")
            await own.until(ended["id"], lambda e: e["metadata"]["attemptNumber"] == 2 and _states(e)[-1] == ("sleep", "RUNNING"))
            may_go.set()
            await asyncio.to_thread(gone.wait, 10)
            again = await own.ended(ended["id"])
            assert list(_run(again, "read")["outputs"]["uris"]) == ["out/a.txt"]

    asyncio.run(check())


def test_its_tasks_know_its_value(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            source = f"""
id: f
namespace: house
tasks:
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: [x, y]
    tasks:
      - id: home
        type: {WORKING}
        tasks:
          - {{id: say, type: {RETURN}, format: "{{{{ taskrun.value }}}} {{{{ workerTaskrun.value }}}}"}}
  - {{id: all, type: {RETURN}, format: "{{{{ outputs.say.x.value }}}}, {{{{ outputs.say.y.value }}}}"}}
"""
            ended = await own.run(source)
            assert _run(ended, "all")["outputs"]["value"] == "x x, y y"

    asyncio.run(check())
