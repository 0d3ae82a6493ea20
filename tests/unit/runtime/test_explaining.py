"""Why something does not run: each reason brought about, with its evidence and a way out."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lang.expressions import Renderer
from tests.unit.runtime.executor_house import House
from tests.unit.runtime.test_placing import RETURN, flow, in_house, running, sleeper, state

RETRIED = """
id: retried
namespace: house
tasks:
  - {id: t, type: io.kestra.plugin.core.execution.Fail, errorMessage: "no luck", retry: {type: constant, interval: PT30S, maxAttempts: 3}}
"""


def test_an_execution_above_its_flows_limit_tells_the_limit_and_how_many_wait_before_it(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        source = sleeper() + "concurrency: {limit: 1}\n"
        first, second, third = [await own.run(source, wait=False) for _ in range(3)]
        await running(own, first)
        (told,) = await own.explained(third["id"])
        assert (told["reason"], told["state"], told["evidence"]) == ("CONCURRENCY_LIMIT", "QUEUED", {"limit": 1, "running": 1, "ahead": 1})
        assert "force-run" in told["fix"]
        assert (await own.explained(second["id"]))[0]["evidence"]["ahead"] == 0

    in_house(tmp_path, check)


def test_a_run_that_is_tried_again_later_tells_when_and_what_went_wrong(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        begun = await own.run(RETRIED, wait=False)
        told = await own.until_explained(begun["id"], "WAITING_RETRY")
        assert (told["taskId"], told["evidence"]["attempts"], told["evidence"]["lastError"]) == ("t", 1, "no luck")
        assert told["evidence"]["due"] in told["message"]

    in_house(tmp_path, check)


def test_a_run_that_waits_for_an_execution_it_has_started_names_it(tmp_path: Path) -> None:
    calls = "id: calls\nnamespace: house\ntasks:\n  - {id: sub, type: io.kestra.plugin.core.flow.Subflow, namespace: house, flowId: s, wait: true}\n"

    async def check(own: House) -> None:
        await own.flow(sleeper())
        begun = await own.run(calls, wait=False)
        told = await own.until_explained(begun["id"], "WAITING_FOR_EXECUTION")
        (child,) = told["evidence"]["executions"]
        assert (told["taskId"], told["evidence"]["goingOn"]) == ("sub", 1)
        assert told["fix"].startswith(f"orchestrator explain {child} ")
        await running(own, {"id": child})

    in_house(tmp_path, check)


def test_a_run_whose_expressions_are_being_rendered_says_so(tmp_path: Path) -> None:
    release = threading.Event()

    class Slow(Renderer):
        def render_any(self, value: Any, context: Any) -> Any:
            release.wait(10)
            return "true"

    async def check(own: House) -> None:
        own.parts.executor._evaluating._rich = Slow()  # a key store that takes its time
        begun = await own.run(flow("runIf: \"{{ kv('k') == 1 }}\""), wait=False)
        await own.until_explained(begun["id"], "EVALUATING")
        release.set()
        assert state(await own.ended(begun["id"])) == "SUCCESS"

    in_house(tmp_path, check)


def test_a_run_on_a_worker_out_of_reach_says_that_it_waits_for_it_to_have_surely_stopped(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        begun = await own.run(sleeper("workerGroup: {key: gpu}"), wait=False)
        held = (await running(own, begun))["taskRunList"][0]["placement"]["worker"]
        own.parts.executor.lookout.lost(held, is_certain=False)
        told = await own.until_explained(begun["id"], "LOST_PLACE")
        assert told["evidence"]["worker"] == held
        assert next(one.state for one in own.parts.executor.places.workers() if one.name == held) == "silent"
        assert (await own.until(begun["id"], lambda e: True))["taskRunList"][0]["lease"] == 1, "it is not sent again yet"

    in_house(tmp_path, check, groups=("", "gpu"))


def test_a_run_that_was_sent_and_whose_worker_has_not_begun_it_says_so(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        own.cluster.run = lambda place, dispatch: None  # type: ignore[method-assign]  # a worker that hears nothing just now
        begun = await own.run(flow("workerGroup: {key: gpu}"), wait=False)
        told = await own.until_explained(begun["id"], "STARTING")
        assert (told["evidence"]["group"], told["evidence"]["lease"]) == ("gpu", 1)
        assert told["evidence"]["worker"] in {one.name for one in own.parts.executor.places.workers()}
        assert "orchestrator worker ls" in told["fix"]

    in_house(tmp_path, check, groups=("", "gpu"))


def test_a_run_that_was_told_to_end_and_is_not_seen_gone_says_so(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        begun = await own.run(sleeper(), wait=False)
        await running(own, begun)
        tell, own.cluster.stop = own.cluster.stop, lambda place, stops: None  # type: ignore[method-assign]  # it is not heard yet
        await own.call("act", execution_id=begun["id"], verb="kill")
        told = await own.until_explained(begun["id"], "STOPPING")
        assert (told["state"], told["message"]) == ("KILLING", "It was told to end and has not been seen gone yet")
        own.cluster.stop = tell  # type: ignore[method-assign]

    in_house(tmp_path, check)


@pytest.mark.docker
def test_a_job_that_is_being_prepared_tells_the_stage(tmp_path: Path) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    image = f"127.0.0.1:{silent.getsockname()[1]}/never:latest"
    source = (
        "id: docker\nnamespace: house\ntasks:\n  - id: t\n    type: io.kestra.plugin.scripts.shell.Commands\n    commands: [echo hi]\n"
        f"    containerImage: {image}\n    taskRunner: {{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: ALWAYS}}\n"
    )

    async def check(own: House) -> None:
        begun = await own.run(source, wait=False)
        told = await own.until_explained(begun["id"], "PROVISIONING", within=20)
        assert (told["evidence"]["stage"], told["evidence"]["where"]) == ("image", "supervisor")
        await own.call("act", execution_id=begun["id"], verb="kill")
        await own.ended(begun["id"], within=20)

    with silent:
        in_house(tmp_path, check)


def test_a_failed_execution_tells_the_run_the_cause_and_its_last_words(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        source = (
            "id: f\nnamespace: house\ntasks:\n  - id: s\n    type: io.kestra.plugin.core.flow.Sequential\n    tasks:\n"
            "      - {id: t, type: io.kestra.plugin.core.execution.Fail, errorMessage: out of luck}\n"
        )
        done = await own.run(source)
        (told,) = await own.explained(done["id"])
        assert (told["reason"], told["taskId"], told["message"], told["evidence"]["cause"]) == ("FAILED", "t", "Out of luck", "EXCEPTION")
        assert told["evidence"]["lastLines"][-1] == "out of luck"
        assert f"execution restart {done['id']}" in told["fix"]

    in_house(tmp_path, check)


def test_what_runs_or_has_ended_well_needs_no_explanation(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        begun = await own.run(sleeper(), wait=False)
        await running(own, begun)
        assert await own.explained(begun["id"]) == []
        assert await own.explained((await own.run(flow("description: x")))["id"]) == []

    in_house(tmp_path, check)


def test_only_the_task_asked_for_is_explained_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        source = (
            "id: two\nnamespace: house\ntasks:\n  - id: p\n    type: io.kestra.plugin.core.flow.Parallel\n    tasks:\n"
            f"      - {{id: a, type: {RETURN}, format: x, workerGroup: {{key: ga}}}}\n      - {{id: b, type: {RETURN}, format: x, workerGroup: {{key: gb}}}}\n"
        )
        begun = await own.run(source, wait=False)
        await own.until_explained(begun["id"], "NO_LIVE_WORKER")
        assert [one["taskId"] for one in await own.explained(begun["id"], "b")] == ["b"]
        assert [one["taskId"] for one in await own.explained(begun["id"])] == ["a", "b"]
        refused = await own.call("explain", execution_id=begun["id"], task="c")
        assert refused["error"]["code"] == "not-found"
        unknown = await own.call("explain", execution_id="nobody")
        assert unknown["error"]["code"] == "not-found"

    in_house(tmp_path, check)


def test_two_reasons_of_one_execution_are_told_together(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        source = (
            "id: loop\nnamespace: house\ntasks:\n  - id: each\n    type: io.kestra.plugin.core.flow.ForEach\n    values: [x, y]\n    concurrencyLimit: 0\n"
            f"    tasks:\n      - {{id: t, type: {RETURN}, format: x, workerGroup: {{key: gone}}}}\n"
        )
        begun = await own.run(source, wait=False)
        await own.until_explained(begun["id"], "NO_LIVE_WORKER")
        await asyncio.sleep(0)
        told = await own.explained(begun["id"])
        assert [(one["taskId"], one["value"], one["evidence"]["ahead"]) for one in told] == [("t", "x", 0), ("t", "y", 1)]

    in_house(tmp_path, check)
