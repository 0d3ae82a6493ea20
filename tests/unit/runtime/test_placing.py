"""Where runs go: groups, tags, chains, fallbacks, what is kept for others, and machines with resources."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.runtime.executor_house import House, house

RETURN = "io.kestra.plugin.core.debug.Return"
SLEEP = "io.kestra.plugin.core.flow.Sleep"
GPU, BIG = {"key": "gpu"}, {"key": "big", "labels": {"size": "xl"}, "tags": ["eu"]}


def flow(task: str, name: str = "f", namespace: str = "house", **more: str) -> str:
    extra = "".join(f"{key}: {value}\n" for key, value in more.items())
    return f"id: {name}\nnamespace: {namespace}\n{extra}tasks:\n  - {{id: t, type: {RETURN}, format: done, {task}}}\n"


def sleeper(task: str = "", name: str = "s", namespace: str = "house", duration: str = "PT30S") -> str:
    return f"id: {name}\nnamespace: {namespace}\ntasks:\n  - {{id: t, type: {SLEEP}, duration: {duration}{', ' if task else ''}{task}}}\n"


def state(execution: Any) -> str:
    return str(execution["state"]["current"])


def placed(execution: Any) -> Any:
    return execution["taskRunList"][0]["placement"]


def in_house(tmp_path: Path, check: Callable[[House], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with house(tmp_path, **options) as own:
            await check(own)

    asyncio.run(run())


async def running(own: House, execution: Any) -> Any:
    return await own.until(execution["id"], lambda e: bool(e["taskRunList"][0].get("attempts")))


def test_a_task_runs_on_the_group_it_names_and_tells_who_said_so(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("workerGroup: {key: gpu}"))
        assert state(done) == "SUCCESS"
        assert (placed(done)["group"], placed(done)["askedAt"], placed(done)["worker"].split(":")[1]) == ("gpu", "task", "gpu")
        assert "worker:gpu:" in done["taskRunList"][0]["attempts"][0]["workerId"]

    in_house(tmp_path, check, groups=("", "gpu"))


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"namespaces": {"house": {"workerGroup": {"key": "gpu"}}}}, "namespace"),
        ({"namespaces": {"house": {"pluginDefaults": [{"type": "io.kestra.plugin.core.debug", "values": {"workerGroup": {"key": "gpu"}}}]}}}, "pluginDefaults"),
        ({"plugin_defaults": ({"type": "core.debug.Return", "values": {"workerGroup": {"key": "gpu"}}},)}, "pluginDefaults"),
        ({"worker_group": {"key": "gpu"}}, "server"),
    ],
)
def test_what_is_said_outside_a_flow_holds_for_its_tasks(tmp_path: Path, settings: dict[str, Any], level: str) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("description: x"))
        assert (placed(done)["group"], placed(done)["askedAt"]) == ("gpu", level)

    in_house(tmp_path, check, groups=("", "gpu"), **settings)


def test_a_selector_finds_a_group_by_key_label_and_tag(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        for tags in ("[big]", "[xl, eu]", "['size=xl']", "['size:xl', eu]"):
            done = await own.run(flow(f"workerSelector: {{tags: {tags}}}"))
            assert (state(done), placed(done)["group"]) == ("SUCCESS", "big"), tags
        failed = await own.run(flow("workerSelector: {tags: [eu, moon]}"))
        assert (state(failed), failed["taskRunList"][0]["cause"]) == ("FAILED", "NO_WORKER")
        done = await own.run(flow("workerSelector: {tags: [eu, moon], match: ANY}"))
        assert placed(done)["group"] == "big"

    in_house(tmp_path, check, groups=("", "big"), worker_groups=(BIG,))


@pytest.mark.parametrize(("fallback", "end"), [("FAIL", "FAILED"), ("CANCEL", "CANCELLED")])
def test_without_a_worker_a_fallback_ends_the_run_at_once(tmp_path: Path, fallback: str, end: str) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow(f"workerGroup: {{key: gpu, fallback: {fallback}}}"))
        run = done["taskRunList"][0]
        assert (run["state"]["current"], run["cause"], run["error"]) == (end, "NO_WORKER", "No workers are available for worker group 'gpu'")
        (told,) = await own.explained(done["id"])
        assert (told["reason"], told["evidence"]["passedOver"][0]["reason"]) == ("NO_LIVE_WORKER", "NO_LIVE_WORKER")

    in_house(tmp_path, check)


def test_ignore_runs_on_the_default_group_and_says_what_was_passed_over(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("workerGroup: {key: gpu, fallback: IGNORE}"))
        assert (state(done), placed(done)["group"], placed(done)["step"]) == ("SUCCESS", "", 1)
        assert [one["reason"] for one in placed(done)["passedOver"]] == ["NO_LIVE_WORKER"]

    in_house(tmp_path, check)


@pytest.mark.parametrize("fallback", ["WAIT", "FAIL", "CANCEL", "IGNORE"])
def test_a_busy_group_is_waited_for_whatever_the_fallback(tmp_path: Path, fallback: str) -> None:
    async def check(own: House) -> None:
        first = await own.run(sleeper("workerGroup: {key: gpu}"), wait=False)
        await running(own, first)
        second = await own.run(flow(f"workerGroup: {{key: gpu, fallback: {fallback}}}"), wait=False)
        told = await own.until_explained(second["id"], "AT_CAPACITY")
        assert (told["evidence"]["slots"], told["evidence"]["slotsUsed"], told["state"]) == (1, 1, "CREATED")
        await own.call("act", execution_id=first["id"], verb="kill")
        assert placed(await own.ended(second["id"]))["group"] == "gpu"

    in_house(tmp_path, check, groups=("", "gpu"), slots=1)


def test_a_run_waits_for_a_worker_that_comes_and_says_so(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        begun = await own.run(flow("workerGroup: {key: gpu}"), wait=False)
        told = await own.until_explained(begun["id"], "NO_LIVE_WORKER")
        assert "orchestrator server worker --worker-group=gpu" in told["fix"]
        await own.join("gpu")
        assert state(await own.ended(begun["id"])) == "SUCCESS"

    in_house(tmp_path, check)


def test_a_run_whose_last_worker_goes_while_it_waits_takes_its_fallback(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        first = await own.run(sleeper("workerGroup: {key: gpu}"), wait=False)
        await running(own, first)
        second = await own.run(flow("workerGroup: {key: gpu, fallback: FAIL}", name="g"), wait=False)
        await own.until_explained(second["id"], "AT_CAPACITY")
        own.cluster.lose(next(one.name for one in own.parts.executor.places.workers() if one.group == "gpu"))
        assert (await own.ended(second["id"]))["taskRunList"][0]["cause"] == "NO_WORKER"

    in_house(tmp_path, check, groups=("", "gpu"), slots=1)


def test_a_chain_goes_from_place_to_place_in_its_time_and_records_why(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        chain = "placement: [{workerGroup: gpu, wait: PT0.3S}, {workerGroup: {tags: [nothing]}}, {workerGroup: ''}]"
        begun = await own.run(flow(chain), wait=False)
        waiting = await own.until_explained(begun["id"], "NO_LIVE_WORKER")
        assert "goesOnAt" in waiting["evidence"]
        done = await own.ended(begun["id"])
        passed = placed(done)["passedOver"]
        assert (state(done), placed(done)["step"], [one["reason"] for one in passed]) == ("SUCCESS", 2, ["NO_LIVE_WORKER"] * 2)
        assert passed[0]["waited"].startswith("PT0.3")
        assert passed[1]["waited"] == "PT0S"

    in_house(tmp_path, check)


def test_a_chain_takes_a_busy_place_only_within_its_wait(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        await running(own, await own.run(sleeper("workerGroup: {key: gpu}"), wait=False))
        done = await own.run(flow("placement: [{workerGroup: gpu}, {workerGroup: ''}]"))
        assert (placed(done)["group"], placed(done)["passedOver"][0]["reason"]) == ("", "AT_CAPACITY")

    in_house(tmp_path, check, groups=("", "gpu"), slots=1)


def test_a_chain_that_runs_out_fails_with_every_reason(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("placement: [{workerGroup: gpu}, {workerGroup: big, wait: PT0.2S}]"))
        assert state(done) == "FAILED"
        assert "worker group 'gpu'" in done["taskRunList"][0]["error"]
        assert "worker group 'big'" in done["taskRunList"][0]["error"]

    in_house(tmp_path, check)


def test_a_task_runner_in_a_chain_is_passed_over_by_a_task_that_is_no_script(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        runner = "{taskRunner: {type: io.kestra.plugin.core.runner.Process}}"
        done = await own.run(flow("description: x", placement=f"[{runner}, {{workerGroup: ''}}]"))
        assert (state(done), placed(done)["passedOver"][0]["reason"]) == ("SUCCESS", "NOT_A_SCRIPT")

    in_house(tmp_path, check)


def test_a_task_for_which_no_step_of_its_chain_is_meant_runs_on_the_default_group(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("description: x", placement="[{taskRunner: {type: io.kestra.plugin.core.runner.Process}}]"))
        assert (state(done), placed(done)["group"], placed(done)["passedOver"][0]["reason"]) == ("SUCCESS", "", "NOT_A_SCRIPT")

    in_house(tmp_path, check)


def test_a_mistaken_group_in_a_chain_fails_the_run_though_another_place_would_take_it(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("placement: [{workerGroup: \"{{ 'gup' }}\"}, {workerGroup: ''}]"))
        assert done["taskRunList"][0]["error"].startswith("There is no worker group 'gup'")

    in_house(tmp_path, check, groups=("", "gpu"), worker_groups=(GPU,))


def test_a_script_takes_the_task_runner_that_its_chain_names(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        source = (
            "id: f\nnamespace: house\ntasks:\n  - id: t\n    type: io.kestra.plugin.scripts.shell.Commands\n    commands: [echo hi]\n"
            "    taskRunner: {type: io.kestra.plugin.scripts.runner.docker.Docker}\n"
            "    placement: [{workerGroup: gpu}, {taskRunner: {type: io.kestra.plugin.core.runner.Process}}]\n"
        )
        done = await own.run(source)
        assert (state(done), placed(done)["runner"], placed(done)["step"]) == ("SUCCESS", "io.kestra.plugin.core.runner.Process", 1)

    in_house(tmp_path, check)


def test_an_unknown_group_that_only_an_expression_yields_fails_the_run_at_once_with_the_nearest_name(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("workerGroup: {key: \"{{ 'gup' }}\"}"))
        assert done["taskRunList"][0]["error"] == "There is no worker group 'gup'; did you mean 'gpu'?"
        (told,) = await own.explained(done["id"])
        assert told["reason"] == "NO_SUCH_GROUP"

    in_house(tmp_path, check, groups=("", "gpu"), worker_groups=(GPU,))


def test_a_group_that_is_not_for_the_namespace_is_refused(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("workerGroup: {key: \"{{ 'gpu' }}\"}"))
        assert "is not for namespace house" in done["taskRunList"][0]["error"]
        (told,) = await own.explained(done["id"])
        assert told["reason"] == "GROUP_NOT_ALLOWED"

    in_house(tmp_path, check, groups=("", "gpu"), worker_groups=({"key": "gpu", "allowedNamespaces": ["prod.*"]},))


def test_a_selector_passes_by_groups_that_are_not_for_the_namespace(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        failed = await own.run(flow("workerSelector: {tags: [shared]}"))
        assert failed["taskRunList"][0]["cause"] == "NO_WORKER"
        done = await own.run(flow("workerSelector: {tags: [shared]}", namespace="prod.x"))
        assert placed(done)["group"] == "gpu"

    in_house(tmp_path, check, groups=("", "gpu"), worker_groups=({"key": "gpu", "tags": ["shared"], "allowedNamespaces": ["prod.*"]},))


def test_a_run_that_no_place_takes_any_more_fails_also_when_the_executor_is_started_again(tmp_path: Path) -> None:
    async def first(own: House) -> None:
        begun = await own.run(flow("workerGroup: {key: \"{{ 'gpu' }}\"}"), wait=False, execution_id="e")
        await own.until_explained(begun["id"], "NO_LIVE_WORKER")

    async def second(own: House) -> None:
        assert "There is no worker group 'gpu'" in (await own.ended("e"))["taskRunList"][0]["error"]

    in_house(tmp_path, first)
    in_house(tmp_path, second, worker_groups=(BIG,))


def test_slots_kept_for_others_are_not_given_away(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        first = await own.run(sleeper("workerGroup: {key: gpu}"), wait=False)
        await running(own, first)
        second = await own.run(flow("workerGroup: {key: gpu}", name="g"), wait=False)
        assert "kept for other namespaces" in (await own.until_explained(second["id"], "RESERVED_FOR_OTHERS"))["message"]
        assert state(await own.run(flow("workerGroup: {key: gpu}", namespace="prod.a"))) == "SUCCESS"
        await own.call("act", execution_id=first["id"], verb="kill")
        assert state(await own.ended(second["id"])) == "SUCCESS"

    in_house(tmp_path, check, groups=("", "gpu"), slots=2, worker_groups=({"key": "gpu", "reserved": {"namespaces": ["prod.*"], "percent": 50}},))


def test_fractions_of_a_gpu_are_packed_and_one_too_many_waits(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        four = [await own.run(sleeper("resources: {gpu: 0.25}", name=f"s{i}"), wait=False) for i in range(4)]
        for one in four:
            begun = await running(own, one)
            assert (placed(begun)["where"], placed(begun)["resources"]["gpu"]) == ("process", 0.25)
        worker = next(one for one in own.parts.executor.places.workers())
        assert (worker.used, worker.resources_used) == (0, {"GPU": 1.0}), "it takes no slot"
        fifth = await own.run(flow("resources: {gpu: 0.25}"), wait=False)
        assert (await own.until_explained(fifth["id"], "NO_ROOM_FOR_RESOURCES"))["evidence"]["resources"]["gpu"] == 0.25
        await own.call("act", execution_id=four[0]["id"], verb="kill")
        assert state(await own.ended(fifth["id"])) == "SUCCESS"

    in_house(tmp_path, check, machine={"GPU": 1.0, "CPU": 2.0})


def test_resources_that_no_machine_of_the_group_has_are_told(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        waits = await own.run(flow("resources: {gpu: 2}"), wait=False)
        assert "has a machine with 2 gpu" in (await own.until_explained(waits["id"], "NO_LIVE_WORKER"))["message"]
        failed = await own.run(flow("resources: {gpu: 2}, workerGroup: {key: gpu, fallback: FAIL}", name="g"))
        assert failed["taskRunList"][0]["error"] == "No workers are available for worker group 'gpu' with 2 gpu"

    in_house(tmp_path, check, groups=("", "gpu"), machine={"GPU": 1.0})


def test_templated_resources_are_read_when_the_run_is_placed(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        done = await own.run(flow("resources: {cpu: \"{{ 1 + 1 }}\", memory: '{{ 1 }}GiB'}"))
        assert placed(done)["resources"] == {"cpu": 2.0, "memory": 1024**3, "gpu": 0.0}
        bad = await own.run(flow("resources: {gpu: \"{{ 'many' }}\"}"))
        assert (state(bad), bad["taskRunList"][0]["cause"]) == ("FAILED", "EXPRESSION")

    in_house(tmp_path, check, machine={"CPU": 2.0, "memory": 2.0 * 1024**3})


def test_a_run_goes_on_at_the_step_it_had_come_to_when_the_executor_is_started_again(tmp_path: Path) -> None:
    source = flow("placement: [{workerGroup: gpu}, {workerGroup: big}]")

    async def first(own: House) -> None:
        begun = await own.run(source, wait=False, execution_id="e")
        await own.until_explained(begun["id"], "NO_LIVE_WORKER")

    async def second(own: House) -> None:
        (told,) = await own.explained("e")
        assert (told["evidence"]["step"], [one["place"] for one in told["evidence"]["passedOver"]]) == (2, ["worker group 'gpu'"])
        await own.join("big")
        assert placed(await own.ended("e"))["step"] == 1

    in_house(tmp_path, first)
    in_house(tmp_path, second, groups=("", "gpu"))


def test_secrets_in_a_chains_task_runner_are_not_rendered_on_the_head(tmp_path: Path) -> None:
    async def check(own: House) -> None:
        runner = "{taskRunner: {type: io.kestra.plugin.scripts.runner.docker.Docker, user: \"{{ secret('S') }}\"}}"
        begun = await own.run(flow("description: x", placement=f"[{{workerGroup: \"{{{{ 'gpu' }}}}\", wait: PT10S}}, {runner}]"), wait=False)
        told = await own.until_explained(begun["id"], "NO_LIVE_WORKER")
        assert told["evidence"]["place"] == "worker group 'gpu'"
        shown = await own.until(begun["id"], lambda e: True)
        assert "secret(" not in str(shown["taskRunList"][0]["answers"])

    in_house(tmp_path, check)
