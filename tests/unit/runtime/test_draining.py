"""Draining a worker: nothing new goes there, what ends in time ends there, what does not goes on elsewhere, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.runtime.draining import DOCUMENT
from tests.unit.runtime.executor_house import House, house

FLOW = """
id: {id}
namespace: draining
tasks:
  - id: held
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    workerGroup: {{key: gpu}}
    commands: ["echo begun >> {folder}/{id}; while [ ! -e {folder}/go ]; do sleep 0.05; done"]
"""


def flow(folder: Path, name: str) -> str:
    folder.mkdir(exist_ok=True)
    return FLOW.format(id=name, folder=folder)


def at_work(execution: Any) -> bool:
    return bool(execution["taskRunList"]) and execution["taskRunList"][0]["state"]["current"] == "RUNNING"


def worker_of(execution: Any) -> str:
    return str(execution["taskRunList"][0]["attempts"][-1]["workerId"])


def state_of(own: House, worker: str) -> WorkerState | None:
    return own.parts.executor.places.state_of(worker)


async def begun(own: House, folder: Path, name: str) -> Any:
    """An execution whose one task is at work and waits for `go`."""
    execution = await own.run(flow(folder, name), wait=False)
    return await own.until(execution["id"], at_work)


async def ended(own: House, execution: Any) -> Any:
    return await own.until(execution["id"], lambda found: found["state"]["current"] in ("SUCCESS", "FAILED"), within=20)


async def shown(own: House, worker: str) -> Any:
    return await own.call("worker", worker=worker)


def test_what_ends_within_the_grace_ends_there_and_nothing_new_comes(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("gpu",)) as own:
            first = await begun(own, tmp_path / "a", "first")
            worker = worker_of(first)
            other = own.cluster.join("gpu", slots=1)
            told = await own.call("drain", worker=worker, grace="PT1M")
            assert (told["worker"]["state"], told["drain"]["over"]) == ("draining", False)
            second = await begun(own, tmp_path / "b", "second")
            assert worker_of(second) == other
            third = await own.run(flow(tmp_path / "b", "third"), wait=False)
            await own.until(third["id"], lambda found: bool(found["taskRunList"]))
            assert own.parts.executor.places.queued() == {"gpu": 1}, "it waits, though the drained worker has seven free slots"
            (tmp_path / "a" / "go").touch()
            done = await ended(own, first)
            assert (done["state"]["current"], worker_of(done), done["taskRunList"][0]["lease"]) == ("SUCCESS", worker, 1)
            assert (await shown(own, worker))["drain"]["over"]
            (tmp_path / "b" / "go").touch()
            assert {worker_of(await ended(own, one)) for one in (second, third)} == {other}
            assert state_of(own, worker) is WorkerState.DRAINING

    asyncio.run(check())


def test_what_outlasts_the_grace_is_handed_back_and_ends_elsewhere_once_more(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("gpu",)) as own:
            folder = tmp_path / "a"
            execution = await begun(own, folder, "late")
            worker, other = worker_of(execution), own.cluster.join("gpu")
            await own.call("drain", worker=worker, grace="PT0.2S")
            moved = await own.until(execution["id"], lambda found: at_work(found) and worker_of(found) == other)
            assert (moved["taskRunList"][0]["lease"], moved["taskRunList"][0]["generation"]) == (2, 0)
            assert (await shown(own, worker))["drain"]["over"]
            (folder / "go").touch()
            done = await ended(own, execution)
            assert (done["state"]["current"], len(done["taskRunList"][0]["attempts"])) == ("SUCCESS", 1)
            assert (folder / "late").read_text() == "begun\nbegun\n"
            assert done["taskRunList"][0].get("lostWorkers", 0) == 0, "work that was handed back was not lost"

    asyncio.run(check())


def test_a_drain_goes_on_when_the_executor_comes_back(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("gpu",)) as own:
            (name,) = (one.name for one in own.parts.executor.places.workers())
            deadline = (await own.call("drain", worker=name, grace="PT1H"))["drain"]["deadline"]
            assert own.parts.executor.store.setting(DOCUMENT + name)
        async with house(tmp_path, groups=("gpu",)) as again:
            assert state_of(again, name) is WorkerState.DRAINING, "before anything was placed"
            assert (await shown(again, name))["drain"]["deadline"] == deadline
            waiting = await again.run(flow(tmp_path, "x"), wait=False)
            await again.until(waiting["id"], lambda found: bool(found["taskRunList"]))
            assert again.parts.executor.places.queued() == {"gpu": 1}
            other = again.cluster.join("gpu")
            (tmp_path / "go").touch()
            assert worker_of(await ended(again, waiting)) == other

    asyncio.run(check())


def test_a_worker_made_anew_on_a_drained_machine_is_drained_too_and_a_machine_that_left_is_forgotten(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("gpu",)) as own:
            executor = own.parts.executor
            (name,) = (one.name for one in executor.places.workers())
            await own.call("drain", worker=name, grace="PT1H")
            anew = WorkerInfo(name="worker:gpu:inline:anew", group="gpu", node_id=name, slots=1)
            executor.places.see((anew,))
            executor.roster.look(executor.clock())
            assert state_of(own, anew.name) is WorkerState.DRAINING
            executor.places.see(())
            for later in (timedelta(seconds=1), timedelta(seconds=59), timedelta(seconds=62)):
                assert executor.roster.draining.of(name) is not None
                executor.roster.look(executor.clock() + later)
            assert executor.roster.draining.of(name) is None
            await executor.do(lambda turn: None)
            assert executor.store.setting(DOCUMENT + name) is None

    asyncio.run(check())


def test_a_drained_worker_with_nothing_to_do_that_cannot_be_reached_has_left_at_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("gpu",)) as own:
            folder, executor = tmp_path / "a", own.parts.executor
            execution = await begun(own, folder, "first")
            worker = worker_of(execution)
            await own.call("drain", worker=worker, grace="PT1M")
            executor.lookout.lost(worker, is_certain=False)
            await executor.do(lambda turn: None)
            assert state_of(own, worker) is WorkerState.SILENT, "what it holds may go on"
            other = await own.join("gpu")
            await own.call("drain", worker=other, grace="PT1M")
            executor.lookout.lost(other, is_certain=False)
            await executor.do(lambda turn: None)
            assert state_of(own, other) is None
            assert other not in {one["name"] for one in executor.roster.shown()["lost"]}
            (folder / "go").touch()

    asyncio.run(check())


def test_a_drained_worker_that_leaves_between_two_looks_with_its_work_done_was_not_lost(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("gpu",)) as own:
            executor = own.parts.executor
            execution = await begun(own, tmp_path / "a", "first")
            worker = worker_of(execution)
            await own.call("drain", worker=worker, grace="PT1M")
            executor.roster.look(executor.clock())
            executor.roster.look = lambda now: None  # type: ignore[method-assign]  # the next look comes late
            (tmp_path / "a" / "go").touch()
            await ended(own, execution)
            executor.lookout.lost(worker, is_certain=True)
            await executor.do(lambda turn: None)
            del executor.roster.look
            assert worker not in {one["name"] for one in (await own.call("fleet"))["lost"]}

    asyncio.run(check())
