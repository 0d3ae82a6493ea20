"""Groups with `max`: what the executor asks an autoscaler for, what it says of it, and what it lets go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.engine.scaling import OVERDUE
from orchestrator.model.growth import Ask
from orchestrator.model.resources import Resources
from orchestrator.store.port import LogFilter
from tests.unit.runtime.executor_house import House
from tests.unit.runtime.test_placing import flow, in_house, running, sleeper, state

GROUP = {"key": "gpu", "max": 2, "slots": 1, "idleTimeout": "PT0.3S"}
ON_GPU = "workerGroup: {key: gpu}"


async def until(holds: Callable[[], Any], within: float = 10) -> Any:
    async with asyncio.timeout(within):
        while True:
            found = holds()
            if found:
                return found
            await asyncio.sleep(0.02)


def ask_of(own: House) -> Ask:
    return next((ask for ask in own.cluster.asks if ask.group == "gpu"), Ask("gpu"))


async def _group(own: House) -> Any:
    return next(group for group in (await own.call("cluster"))["groups"] if group["key"] == "gpu")


def workers_of(own: House) -> list[str]:
    return [worker.name for worker in own.parts.executor.places.workers() if worker.group == "gpu"]


def test_a_run_of_a_group_without_workers_has_a_machine_asked_for_and_runs_once_it_comes(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        execution = await own.run(flow(ON_GPU), wait=False)
        told = await own.until_explained(execution["id"], "SCALING_UP")
        await until(lambda: ask_of(own).workers == 1)
        told = await own.until_explained(execution["id"], "SCALING_UP")
        assert told["message"] == "1 more worker asked for in worker group 'gpu'"
        scaling = told["evidence"]["scaling"][0]
        assert (scaling["group"], scaling["wanted"], scaling["overdue"]) == ("gpu", 1, False)
        assert scaling["since"]
        assert (await _group(own))["scaling"] == scaling
        worker = await own.join("gpu", 1)
        done = await own.ended(execution["id"])
        assert (state(done), done["taskRunList"][0]["placement"]["worker"]) == ("SUCCESS", worker)
        await until(lambda: ask_of(own).machines == 0, within=15)

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_an_idle_worker_ends_and_what_comes_next_asks_for_another(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        await own.join("gpu", 1)
        assert state(await own.run(flow(ON_GPU))) == "SUCCESS"
        await until(lambda: not workers_of(own))
        assert own.parts.executor.roster.shown()["lost"] == []
        execution = await own.run(flow(ON_GPU), wait=False)
        await until(lambda: ask_of(own).workers == 1)
        await own.join("gpu", 1)
        assert state(await own.ended(execution["id"])) == "SUCCESS"

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_worker_at_work_is_left_alone_however_long_it_takes(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        busy, idle = await own.join("gpu", 1), await own.join("gpu", 1)
        execution = await own.run(sleeper(ON_GPU), wait=False)
        held = (await running(own, execution))["taskRunList"][0]["placement"]["worker"]
        await until(lambda: workers_of(own) == [held])
        assert held in (busy, idle)
        await own.parts.executor.scaling.look(own.parts.executor.clock() + timedelta(hours=1))
        assert workers_of(own) == [held]

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_group_without_max_asks_for_nothing_and_ends_nobody(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        execution = await own.run(flow(ON_GPU), wait=False)
        await own.until_explained(execution["id"], "NO_LIVE_WORKER")
        await own.parts.executor.scaling.look(own.parts.executor.clock())
        assert ask_of(own).machines == 0
        await own.join("gpu", 1)
        assert state(await own.ended(execution["id"])) == "SUCCESS"
        await own.parts.executor.scaling.look(own.parts.executor.clock() + timedelta(hours=1))
        assert len(workers_of(own)) == 1
        assert (await _group(own))["scaling"] is None

    in_house(tmp_path, check, worker_groups=({"key": "gpu"},))


@pytest.mark.parametrize("asked", ["workerGroup: {key: gpu, fallback: FAIL}", "workerSelector: {tags: [gpu]}", "workerGroup: {key: gpu, fallback: IGNORE}"])
def test_a_group_that_can_grow_is_no_group_withoutworkers_of(tmp_path: Path, asked: str) -> None:
    async def check(own: House) -> None:
        execution = await own.run(flow(asked), wait=False)
        await until(lambda: ask_of(own).workers == 1)
        await own.join("gpu", 1)
        done = await own.ended(execution["id"])
        assert (state(done), done["taskRunList"][0]["placement"]["group"]) == ("SUCCESS", "gpu")

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_group_whose_machines_never_come_counts_as_one_withoutworkers_of(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        own.cluster.said = ("gpu-node: no capacity in this zone",)
        waits = await own.run(flow(ON_GPU, "waits"), wait=False)
        fails = await own.run(flow("workerGroup: {key: gpu, fallback: FAIL}", "fails"), wait=False)
        await until(lambda: ask_of(own).workers == 2)
        await own.parts.executor.scaling.look(own.parts.executor.clock() + OVERDUE + timedelta(seconds=1))
        told = await own.explained(waits["id"])
        done = await own.ended(fails["id"])
        assert state(done) == "FAILED"
        assert "No workers are available" in done["taskRunList"][0]["error"]
        assert [one["reason"] for one in told] == ["SCALING_UP"]
        assert "and none has come since" in told[0]["message"]
        assert "ray status" in told[0]["fix"]
        assert told[0]["evidence"]["scaling"][0]["provider"] == ["gpu-node: no capacity in this zone"]
        lines = [line.message for _, line in own.parts.executor.store.logs(LogFilter(execution_id=waits["id"]))]
        assert any("and none has come; gpu-node: no capacity in this zone" in line for line in lines), lines

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_plan_says_that_a_machine_will_be_asked_for(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        planned = await own.call("plan_flow", source=flow("workerSelector: {tags: [gpu]}"))
        task = planned["tasks"][0]
        assert (task["outlook"], task["steps"][0]["groups"][0]["mayGrow"]) == ("waits", True)
        assert "a machine is asked for when work comes" in task["because"]

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_a_run_with_resources_asks_for_a_machine_that_has_them(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        await own.join("gpu", 1)
        execution = await own.run(flow(f"{ON_GPU}, resources: {{gpu: 1}}"), wait=False)
        await until(lambda: ask_of(own).bundles == (Resources(gpu=1),))
        assert ask_of(own).workers == 0
        assert (await own.explained(execution["id"]))[0]["reason"] == "SCALING_UP"

    in_house(tmp_path, check, worker_groups=(GROUP,), machine={"CPU": 1.0})


def test_a_drained_worker_leaves_when_its_run_has_ended_and_another_machine_is_asked_for(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        await own.join("gpu", 1)
        execution = await own.run(sleeper(ON_GPU, duration="PT1S"), wait=False)
        held = (await running(own, execution))["taskRunList"][0]["placement"]["worker"]
        own.parts.executor.places.drain(held)
        waits = await own.run(flow(ON_GPU), wait=False)
        await until(lambda: ask_of(own).workers == 1)
        assert workers_of(own) == [held]
        assert state(await own.ended(execution["id"])) == "SUCCESS"
        await until(lambda: not workers_of(own))
        await own.join("gpu", 1)
        assert state(await own.ended(waits["id"])) == "SUCCESS"

    in_house(tmp_path, check, worker_groups=(GROUP,))


def test_joined_machines_and_the_head_are_never_let_go(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        name = await own.join("gpu", 1)
        own.cluster.labels[name] = {"orchestrator-node": "m"}
        await own.parts.executor.lookout.look()
        assert state(await own.run(flow(ON_GPU))) == "SUCCESS"
        looks = own.parts.executor.scaling
        await looks.look(own.parts.executor.clock())
        await looks.look(own.parts.executor.clock() + timedelta(hours=1))
        assert workers_of(own) == [name]

    in_house(tmp_path, check, worker_groups=(GROUP,))
