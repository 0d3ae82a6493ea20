"""What a task may say that it needs, resources and time in line, and what its author is told otherwise."""

from __future__ import annotations

import pytest

from orchestrator.lang.check import check_plugin
from orchestrator.lang.diagnostics import errors_of
from tests.unit.lang.places_checked import TASK, errors, found, warnings
from tests.unit.lang.toys import resolve


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ("{cpus: 1}", '.cpus: Unrecognized field "cpus"'),
        ("{cpu: -1}", ".cpu: must be greater than or equal to 0"),
        ("{cpu: many}", ".cpu: must be a number"),
        ("{cpu: true}", ".cpu: must be a number"),
        ("{cpu: 1e999}", ".cpu: must be a finite number"),
        ("{gpu: 1.5}", ".gpu: 1.5 GPUs cannot be had: a fraction of one GPU, or a whole number of them"),
        ("{gpu: 0.00001}", ".gpu: 1e-05 is less than can be shared out: at least 0.0001"),
        ("{memory: lots}", ".memory: `lots` is not a size such as 512MiB or 4GiB"),
        ("{memory: -1}", ".memory: must be greater than or equal to 0"),
        ("{memory: 1e999}", ".memory: `1e999` is not a size such as 512MiB or 4GiB"),
        ("{cpu: 0}", ": at least one of cpu, memory and gpu must be more than 0"),
        ("{cpu: '{{ inputs.n }}', memory: lots}", ".memory: `lots` is not a size such as 512MiB or 4GiB"),
        ("4", ": must be a map with `cpu`, `memory` or `gpu`"),
    ],
)
@pytest.mark.parametrize("where", ["tasks[0].resources", "pluginDefaults[0].values.resources"])
def test_resources_that_cannot_be_had_are_refused(resources: str, said: str, where: str) -> None:
    task = f"tasks: [{{id: t, type: Return, resources: {resources}}}]"
    (told, *more) = errors(task if where.startswith("tasks") else TASK + f"pluginDefaults: [{{type: Return, values: {{resources: {resources}}}}}]")
    assert (told, [one for one in more if "at least one" not in one]) == (where + said, [])


def test_a_size_without_end_is_refused_in_json_too() -> None:
    (problem,) = check_plugin({"id": "t", "type": "Return", "resources": {"memory": float("inf")}}, resolve=resolve)
    assert problem.summary == "resources.memory: `inf` is not a size such as 512MiB or 4GiB"


@pytest.mark.parametrize(
    "resources",
    [
        "{cpu: 2, memory: 4GiB, gpu: 0.25}",
        "{gpu: 2}",
        "{memory: 536870912}",
        "{cpu: '{{ inputs.n }}'}",
        "{memory: '{{ 2 }}GiB', cpu: null}",
        "null",
        "{cpu: '0.5'}",
    ],
)
def test_constants_and_templates_of_resources_are_taken(resources: str) -> None:
    assert warnings(f"tasks: [{{id: t, type: Return, resources: {resources}}}]") == []


def test_a_handful_of_bytes_is_probably_no_memory() -> None:
    (told,) = found("tasks: [{id: t, type: Return, resources: {memory: 4}}]")
    assert (told.severity, told.message, told.help) == ("warning", "this is 4 bytes", "did you mean `4GiB`?")


def test_a_task_that_leads_others_is_given_no_resources() -> None:
    assert errors("tasks: [{id: s, type: Sequential, resources: {cpu: 1}, tasks: [{id: t, type: Return}]}]") == [
        "tasks[0].resources: `s` only leads other tasks and needs no resources itself"
    ]
    body = "tasks: [{id: s, type: Sequential, tasks: [{id: t, type: Return}]}]\npluginDefaults: [{type: '', values: {resources: {cpu: 1}}}]"
    assert errors(body) == []


def test_resources_and_a_runner_with_a_place_of_its_own_exclude_each_other() -> None:
    body = "tasks: [{id: t, type: Log, message: hi, taskRunner: {type: %s}, resources: {cpu: 1}}]"
    (problem,) = errors_of(found(body % "Docker"))
    assert (problem.code, problem.path) == ("conflicting-properties", "tasks[0].resources")
    assert "what Docker runs takes its own" in problem.message
    assert errors(body % "Process") == []


def test_resources_beside_a_runner_that_a_default_gave_are_a_warning() -> None:
    default = "pluginDefaults: [{type: Log, values: {taskRunner: {type: Docker}}}]"
    (told,) = warnings("tasks: [{id: t, type: Log, message: hi, resources: {cpu: 1}}]\n" + default)
    assert told.startswith("tasks[0].resources: `resources` are kept for a process of a worker")


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("soon", "`soon` is not an ISO-8601 duration such as PT30S or P1DT2H"),
        ("10", "`10` is not an ISO-8601 duration such as PT30S or P1DT2H"),
        ("-PT1S", "must not be negative"),
    ],
)
@pytest.mark.parametrize("where", ["tasks[0].queueTimeout", "pluginDefaults[0].values.queueTimeout"])
def test_a_queue_timeout_is_a_duration(limit: str, said: str, where: str) -> None:
    task = f"tasks: [{{id: t, type: Return, queueTimeout: {limit}}}]"
    assert errors(task if where.startswith("tasks") else TASK + f"pluginDefaults: [{{type: Return, values: {{queueTimeout: {limit}}}}}]") == [
        f"{where}: {said}"
    ]


@pytest.mark.parametrize("limit", ["PT10M", "P1D", "'{{ inputs.patience }}'", "null"])
def test_a_duration_and_a_template_are_queue_timeouts(limit: str) -> None:
    assert warnings(f"tasks: [{{id: t, type: Return, queueTimeout: {limit}}}]") == []
