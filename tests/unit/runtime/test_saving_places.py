"""Flows that say where their work goes, saved and run: groups that are declared, defaults of types, namespaces and the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.worker_group import WorkerGroup
from tests.unit.runtime.executor_house import House, house

RETURN = "io.kestra.plugin.core.debug.Return"
GPU, OWN = WorkerGroup(key="gpu"), WorkerGroup(key="own", allowed_namespaces=("elsewhere",))


def _flow(task: str = "", rest: str = "") -> str:
    return f"id: f\nnamespace: house.hold\ntasks:\n  - id: t\n    type: {RETURN}\n    format: hi\n{task}{rest}"


async def _refused(own: House, source: str, **more: Any) -> Mapping[str, Any]:
    told = await own.call("save_flow", source=source, upsert=True, **more)
    assert told["error"]["code"] == "flow-invalid", told
    (problem,) = told["error"]["diagnostics"]
    return dict(problem)


def test_a_flow_that_names_an_unknown_group_is_refused_with_the_place_and_the_nearest_name(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, worker_groups=(GPU,)) as own:
            problem = await _refused(own, _flow("    workerGroup: {key: gpuu}\n"))
            assert (problem["line"], problem["column"], problem["length"], problem["help"]) == (7, 24, 4, "did you mean `gpu`?")
            assert own.parts.executor.store.flow("house.hold", "f") is None

    asyncio.run(check())


def test_a_flow_may_not_name_a_group_that_is_kept_for_other_namespaces(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, worker_groups=(GPU, OWN)) as own:
            problem = await _refused(own, _flow(rest="workerGroup: {key: own}\n"))
            assert (problem["code"], problem["message"]) == ("group-not-allowed", "Worker group 'own' takes no work of namespace house.hold")

    asyncio.run(check())


def test_any_group_may_be_named_until_one_is_declared_and_a_saved_flow_can_be_switched_off_all_the_same(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            source = _flow("    workerGroup: {key: other}\n")
            await own.flow(source)
            await own.parts.executor.do(lambda turn: own.parts.executor.groups.declare(turn, GPU))
            await _refused(own, source)
            off = await own.call("save_flow", source=source + "disabled: true\n", update=True, was_accepted=True)
            assert off["flow"]["disabled"] is True

    asyncio.run(check())


def test_what_a_flow_is_held_against_is_told(tmp_path: Path) -> None:
    async def check() -> None:
        defaults = ({"type": RETURN, "values": {"format": "x"}},)
        async with house(tmp_path, groups=("", "gpu"), worker_groups=(GPU,), plugin_defaults=defaults) as own:
            told = await own.call("surroundings")
            assert list(told["groups"]["declared"]) == ["gpu"]
            assert told["groups"]["workerLabels"] == {"": [{}], "gpu": [{}]}
            assert told["serverDefaults"] == list(defaults)

    asyncio.run(check())


def test_a_default_of_the_namespace_may_give_what_a_task_must_have(tmp_path: Path) -> None:
    async def check() -> None:
        needed = {"house": {"pluginDefaults": [{"type": "io.kestra.plugin.core.log.Log", "values": {"message": "from above"}}]}}
        async with house(tmp_path, namespaces=needed) as own:
            saved = await own.call("save_flow", source="id: f\nnamespace: house.hold\ntasks: [{id: t, type: io.kestra.plugin.core.log.Log}]\n")
            assert saved["flow"]["tasks"][0]["message"] == "from above"

    asyncio.run(check())


DEFAULT = "pluginDefaults:\n  - type: {}\n    forced: {}\n    values: {}\n"
AT_GPU = "{workerGroup: {key: gpu}}"
ELSEWHERE = "    workerGroup: {key: away, fallback: FAIL}\n"


@pytest.mark.parametrize(
    ("task", "rest", "level"),
    [
        ("", DEFAULT.format(RETURN, "false", AT_GPU), "pluginDefaults"),
        ("", DEFAULT.format("io.kestra.plugin.core", "false", "{workerGroup: {key: '{{ vars.pool }}'}}") + "variables: {pool: gpu}\n", "pluginDefaults"),
        (ELSEWHERE, DEFAULT.format(RETURN, "true", AT_GPU), "task"),
        (ELSEWHERE, DEFAULT.format("io.kestra.plugin.core.debug", "true", AT_GPU), "task"),
        ("    workerGroup: {key: gpu}\n", DEFAULT.format(RETURN, "false", "{workerGroup: {key: away}}"), "task"),
        ("", DEFAULT.format(RETURN, "false", "{workerGroup: {key: away}}") + "workerGroup: {key: gpu}\n", "flow"),
    ],
)
def test_a_default_sends_work_to_a_group_and_a_forced_one_wins_over_the_task(tmp_path: Path, task: str, rest: str, level: str) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("", "gpu")) as own:
            (run,) = (await own.run(_flow(task, rest)))["taskRunList"]
            assert (run["state"]["current"], run["placement"]["group"], run["placement"]["askedAt"]) == ("SUCCESS", "gpu", level)

    asyncio.run(check())


def test_a_forced_default_of_the_server_wins_over_a_chain_of_the_task(tmp_path: Path) -> None:
    async def check() -> None:
        forced = ({"type": RETURN, "forced": True, "values": {"workerGroup": {"key": "gpu"}}},)
        async with house(tmp_path, groups=("", "gpu"), plugin_defaults=forced) as own:
            (run,) = (await own.run(_flow("    placement: [{workerGroup: away, wait: PT0.1S}]\n")))["taskRunList"]
            assert (run["state"]["current"], run["placement"]["group"]) == ("SUCCESS", "gpu")

    asyncio.run(check())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("{workerGroup: {key: gpuu}}", "No worker group 'gpuu' is declared"),
        ("{workerGroup: {fallback: NEVER}}", "must be one of WAIT, FAIL, CANCEL, IGNORE"),
        ("{workerSelector: {tags: gpu}}", "must be a list"),
        ("{placement: [{taskRunner: {type: core.runner.Process}}]}", "a `taskRunner` step is for script tasks only, and Return is none"),
        ("{queueTimeout: soon}", "`soon` is not an ISO-8601 duration such as PT30S or P1DT2H"),
        ("{resources: {gpu: 1.5}}", "1.5 GPUs cannot be had: a fraction of one GPU, or a whole number of them"),
    ],
)
@pytest.mark.parametrize("forced", ["true", "false"])
def test_what_a_default_says_of_places_is_refused_where_it_stands(tmp_path: Path, values: str, said: str, forced: str) -> None:
    async def check() -> None:
        async with house(tmp_path, worker_groups=(GPU,)) as own:
            problem = await _refused(own, _flow(rest=DEFAULT.format(RETURN, forced, values)))
            assert problem["message"] == said
            assert problem["path"].startswith("pluginDefaults[0].values.")
            assert problem["line"] == 10

    asyncio.run(check())
