"""Plans of flows: what is rendered before a run, and what a server adds of its groups and workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import FlowInvalid, InputInvalid
from orchestrator.model.plan import Outlook, PlannedTask
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime.planning import Grounds, plan_of
from orchestrator.runtime.runner_choice import DOCKER, NO_ENGINE, PROCESS
from tests.unit.runtime.executor_house import house

RETURN = "io.kestra.plugin.core.debug.Return"
SHELL = "io.kestra.plugin.scripts.shell.Commands"
SLEEP = "io.kestra.plugin.core.flow.Sleep"
HEAD = "id: f\nnamespace: house.hold\n"
INPUTS = """
inputs:
  - {id: pool, type: STRING, defaults: gpu}
  - {id: must, type: STRING}
  - {id: count, type: INT, defaults: 2}
  - {id: key, type: SECRET, defaults: hidden}
  - {id: near.pool, type: STRING, defaults: deep}
variables: {pool: of-vars}
labels: {team: red}
"""


def _first(rest: str, inputs: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None, **grounds: Any) -> PlannedTask:
    return plan_of(HEAD + INPUTS + rest, inputs or {}, labels or {}, Grounds(**grounds)).tasks[0]


def _group(key: str, inputs: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None) -> str | None:
    return _first(f"tasks: [{{id: t, type: {RETURN}, format: x, workerGroup: {{key: '{key}'}}}}]\n", inputs, labels).steps[0].worker_group


@pytest.mark.parametrize(
    ("key", "group"),
    [
        ("{{ inputs.pool }}", "gpu"),
        ("{{ inputs.near.pool }}", "deep"),
        ("{{ vars.pool }}-{{ flow.namespace }}", "of-vars-house.hold"),
        ("{{ labels.team }}", "red"),
        ('{{ inputs.count > 1 ? "many" : "one" }}', "many"),
        ("plain", "plain"),
    ],
)
def test_a_key_is_rendered_where_it_names_only_what_is_known_before_a_run(key: str, group: str) -> None:
    assert _group(key) == group


@pytest.mark.parametrize(
    "key",
    [
        '{{ outputs.a.value ?? "gpu" }}',
        "{{ taskrun.value }}",
        "{{ execution.id }}",
        "{{ inputs.must }}",
        '{{ inputs.must ?? "gpu" }}',
        '{{ inputs | jq(".must") }}',
        "{{ inputs.key }}",
        '{{ secret("POOL") }}',
        '{{ kv("pool") }}',
        "{{ printContext() }}",
        "{{ 1 + }}",
    ],
)
def test_a_key_that_only_a_run_knows_stays_as_it_is(key: str) -> None:
    assert _group(key) == key


def test_inputs_and_labels_that_are_given_count() -> None:
    assert _group("{{ inputs.must }}-{{ inputs.pool }}-{{ labels.team }}", {"must": "a", "pool": "b"}, {"team": "c"}) == "a-b-c"


def test_an_input_that_breaks_its_declaration_is_refused_and_one_that_is_missing_is_not() -> None:
    with pytest.raises(InputInvalid, match=r"^count: "):
        _group("x", {"count": "many"})


def test_a_flow_that_is_wrong_is_refused_with_every_problem() -> None:
    with pytest.raises(FlowInvalid) as refused:
        plan_of(HEAD + "tasks: [{id: t, type: No}, {id: t, type: Nope}]\n", {}, {}, Grounds())
    assert len(refused.value.diagnostics) == 3


@pytest.mark.parametrize(
    ("task", "grounds", "runner", "reason"),
    [
        ("", {"engine_answers": lambda: False}, PROCESS, NO_ENGINE),
        ("", {"engine_answers": lambda: True}, DOCKER, "scripts.defaultRunner is auto"),
        ("", {"default_runner": "process"}, PROCESS, "scripts.defaultRunner is process"),
        ("workerGroup: {key: gpu}", {}, PROCESS, "the task names worker group 'gpu' and no containerImage"),
        ("workerGroup: {key: gpu}, containerImage: x", {}, DOCKER, "scripts.defaultRunner is auto"),
        ("taskRunner: {type: core.runner.Process}", {}, PROCESS, "named by the task"),
        ("runner: DOCKER", {}, DOCKER, "named by the task's `runner`"),
        (f"runner: PROCESS, taskRunner: {{type: {DOCKER}}}", {}, PROCESS, "named by the task's `runner`"),
        ("docker: {pullPolicy: NEVER}, workerGroup: {key: gpu}", {"default_runner": "process"}, DOCKER, "named by the task's `docker`"),
        ("docker: {image: x}, taskRunner: {type: core.runner.Process}", {}, PROCESS, "named by the task"),
    ],
)
def test_a_script_is_told_its_runner_by_the_rule_that_a_run_goes_by(task: str, grounds: Mapping[str, Any], runner: str, reason: str) -> None:
    found = _first(f"tasks: [{{id: t, type: {SHELL}, commands: [ls]{', ' + task if task else ''}}}]\n", **grounds)
    assert (found.task_runner, found.runner_reason) == (runner, reason)


def test_a_server_tells_of_its_groups_and_workers_as_they_are_now(tmp_path: Path) -> None:
    async def check() -> None:
        groups = (WorkerGroup(key="gpu"), WorkerGroup(key="away"))
        async with house(tmp_path, groups=("", "gpu"), slots=1, worker_groups=groups, default_runner="process") as own:
            sleep = HEAD + f"tasks: [{{id: s, type: {SLEEP}, duration: PT30S, workerGroup: {{key: gpu}}}}]\n"
            busy = [await own.run(sleep.replace("id: f", f"id: {name}"), wait=False) for name in ("a", "b")]
            await own.until(busy[0]["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
            tasks = [
                f"{{id: here, type: {RETURN}, format: x}}",
                f"{{id: busy, type: {RETURN}, format: x, workerGroup: {{key: '{{{{ inputs.pool }}}}'}}}}",
                f"{{id: away, type: {SHELL}, commands: [ls], workerGroup: {{key: away, fallback: FAIL}}}}",
                f"{{id: typo, type: {RETURN}, format: x, workerGroup: {{key: '{{{{ inputs.pool }}}}u'}}}}",
            ]
            source = HEAD + "inputs: [{id: pool, type: STRING}]\ntasks:\n" + "".join(f"  - {task}\n" for task in tasks)
            plan = await own.call("plan_flow", source=source, inputs={"pool": "gpu"})
            assert plan["live"] is True
            assert [(task["id"], task["outlook"], task["because"]) for task in plan["tasks"]] == [
                ("here", Outlook.NOW, "the default worker group: 1 of 1 slots free"),
                ("busy", Outlook.WAITS, "worker group 'gpu': 0 of 1 slots free, 1 waiting"),
                ("away", Outlook.FAILS, "worker group 'away': no live worker"),
                ("typo", Outlook.FAILS, "worker group 'gpuu': no worker group 'gpuu' is declared; did you mean `gpu`?"),
            ]
            for execution in busy:
                await own.call("act", execution_id=execution["id"], verb="kill")
                await own.until(execution["id"], lambda e: e["state"]["current"] == "KILLED")

    asyncio.run(check())


def test_a_plan_says_of_a_wrong_flow_what_saving_it_would_say(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, worker_groups=(WorkerGroup(key="gpu"),)) as own:
            source = HEAD + f"tasks: [{{id: t, type: {RETURN}, format: x, workerGroup: {{key: gpuu}}}}]\n"
            planned, saved = await own.call("plan_flow", source=source), await own.call("save_flow", source=source)
            assert planned["error"] == saved["error"]
            assert planned["error"]["diagnostics"][0]["help"] == "did you mean `gpu`?"

    asyncio.run(check())


def test_a_plan_goes_by_the_defaults_of_namespace_and_server(tmp_path: Path) -> None:
    async def check() -> None:
        settings: dict[str, Any] = {"namespaces": {"house": {"workerSelector": {"tags": ["gpu"]}}}, "worker_group": {"key": "of-server"}}
        async with house(tmp_path, groups=("", "gpu"), **settings) as own:
            source = HEAD + f"tasks: [{{id: t, type: {RETURN}, format: x}}]\n"
            (task,) = (await own.call("plan_flow", source=source))["tasks"]
            assert (task["level"], task["outlook"], task["fallback"]) == ("namespace", "now", "FAIL")
            (task,) = (await own.call("plan_flow", source=source.replace("house.hold", "other")))["tasks"]
            assert (task["level"], task["outlook"], task["steps"][0]["workerGroup"]) == ("server", "waits", "of-server")

    asyncio.run(check())
