"""Where tasks would go, told before anything runs: who said so, which places, and what would become of it now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from engine_driving import Resolver, a_flow, log, of

from orchestrator.engine.outlook import Live
from orchestrator.engine.planning import Planning
from orchestrator.engine.wishes import NOTHING_SET, Asked, Rules
from orchestrator.model.flow import TaskSpec
from orchestrator.model.plan import GroupStanding, Outlook, PlannedTask
from orchestrator.model.surroundings import KnownGroups
from orchestrator.model.worker_group import WorkerGroup

DOCKER = {"type": "io.kestra.plugin.scripts.runner.docker.Docker"}
KNOWN = KnownGroups(
    declared={
        "gpu": WorkerGroup(key="gpu", tags=("big",)),
        "full": WorkerGroup(key="full", tags=("big",)),
        "empty": WorkerGroup(key="empty"),
        "secret": WorkerGroup(key="secret", tags=("quiet",), allowed_namespaces=("ops",)),
    }
)
STANDINGS = {
    "": GroupStanding(key="", workers=1, slots=8, free=7),
    "gpu": GroupStanding(key="gpu", workers=2, slots=4, free=1),
    "full": GroupStanding(key="full", workers=1, slots=2, free=0, queued=3),
}
LIVE = Live(KNOWN, STANDINGS)
SCRIPT = "Script"


def _runner(spec: TaskSpec, group: str) -> tuple[str | None, str | None]:
    return ("core.runner.Process", f"for {group or 'default'}") if spec.type.endswith(SCRIPT) else (None, None)


def _planned(
    *tasks: dict[str, Any], live: Live | None = LIVE, rules: Rules = NOTHING_SET, values: Mapping[str, str] | None = None, **flow: Any
) -> dict[str, PlannedTask]:
    planning = Planning(
        resolve=Resolver(),
        render=lambda text: (values or {}).get(text),
        runner=_runner,
        is_ephemeral=lambda name: name == DOCKER["type"],
        looks=lambda trigger: trigger.type == "Poll",
        rules=rules,
        live=live,
    )
    return {task.id: task for task in planning.tasks(a_flow(*tasks, **flow))}


def _outlook(**said: Any) -> tuple[Outlook | None, str | None]:
    task = _planned(log("t", **said))["t"]
    return task.outlook, task.because


def group(key: str, fallback: str = "WAIT") -> dict[str, Any]:
    return {"workerGroup": {"key": key, "fallback": fallback}}


def test_every_task_is_told_with_who_said_so() -> None:
    rules = Rules(namespace_defaults={"io": ({"type": "Log", "values": group("gpu")},)}, server=Asked.of(group("full")))
    inner = of("Sequential", "inner", log("deep"), log("own", **group("empty")))
    found = _planned(of("Sequential", "outer", inner, **group("gpu")), log("plain"), {"id": "odd", "type": "Other"}, rules=rules)
    assert [(one.id, one.kind, one.parents, one.level, one.said_by) for one in found.values()] == [
        ("outer", "flowable", (), None, None),
        ("inner", "flowable", ("outer",), None, None),
        ("deep", "task", ("outer", "inner"), "parent", "outer"),
        ("own", "task", ("outer", "inner"), "task", None),
        ("plain", "task", (), "pluginDefaults", None),
        ("odd", "task", (), "server", None),
    ]
    assert [step.worker_group for step in found["deep"].steps] == ["gpu"]


def test_a_forced_default_is_told_as_what_it_is() -> None:
    forced = [{"type": "Log", "forced": True, "values": group("gpu")}]
    found = _planned(log("t", **group("gpu")), pluginDefaults=forced)["t"]
    assert (found.level, found.said_by) == ("pluginDefaults", "forced")


@pytest.mark.parametrize(
    ("said", "outlook", "because"),
    [
        ({}, Outlook.NOW, "the default worker group: 7 of 8 slots free"),
        (group("gpu"), Outlook.NOW, "worker group 'gpu': 1 of 4 slots free"),
        (group("full"), Outlook.WAITS, "worker group 'full': 0 of 2 slots free, 3 waiting"),
        (group("full", "FAIL"), Outlook.WAITS, "worker group 'full': 0 of 2 slots free, 3 waiting"),
        (group("empty"), Outlook.WAITS, "worker group 'empty': no live worker"),
        (group("empty", "FAIL"), Outlook.FAILS, "worker group 'empty': no live worker"),
        (group("empty", "CANCEL"), Outlook.CANCELLED, "worker group 'empty': no live worker"),
        (group("empty", "IGNORE"), Outlook.NOW, "worker group 'empty': no live worker; then the default worker group: 7 of 8 slots free"),
        (group("gone"), Outlook.FAILS, "worker group 'gone': no worker group 'gone' is declared"),
        (group("gpuu"), Outlook.FAILS, "worker group 'gpuu': no worker group 'gpuu' is declared; did you mean `gpu`?"),
        (group("secret"), Outlook.FAILS, "worker group 'secret': it takes no work of namespace io.test"),
    ],
)
def test_what_would_become_of_a_run_is_told_by_the_groups_standing(said: dict[str, Any], outlook: Outlook, because: str) -> None:
    assert _outlook(**said) == (outlook, because)


def test_tags_mean_all_groups_that_have_them_and_may_be_used() -> None:
    assert _outlook(workerSelector={"tags": ["big"]}) == (
        Outlook.NOW,
        "worker group with all of big: full: 0 of 2 slots free, 3 waiting, gpu: 1 of 4 slots free",
    )
    assert _outlook(workerSelector={"tags": ["huge"], "fallback": "WAIT"}) == (Outlook.WAITS, "worker group with all of huge: no group has these tags")
    how, why = _outlook(workerSelector={"tags": ["quiet"]})
    assert (how, why) == (Outlook.FAILS, "worker group with all of quiet: all of them are kept for other namespaces than io.test")


def test_a_chain_is_gone_through_with_what_it_passes_over() -> None:
    chain = [{"workerGroup": "full", "wait": "PT5S"}, {"workerGroup": "empty"}, {"taskRunner": DOCKER}]
    script = _planned({"id": "t", "type": SCRIPT, "placement": chain})["t"]
    assert [(step.place, step.wait) for step in script.steps] == [
        ("worker group 'full'", "PT5S"),
        ("worker group 'empty'", "PT0S"),
        ("taskRunner Docker", None),
    ]
    assert (script.outlook, script.because) == (
        Outlook.WAITS,
        "worker group 'full': 0 of 2 slots free, 3 waiting, for at most PT5S; then worker group 'empty': no live worker; then taskRunner Docker",
    )


def test_a_chain_that_ends_is_told_to_fail() -> None:
    assert _outlook(placement=[{"workerGroup": "empty"}, {"workerGroup": "full", "wait": "PT5S"}])[0] is Outlook.FAILS


def test_what_is_no_script_passes_over_task_runners() -> None:
    found = _planned(log("t"), placement=[{"taskRunner": DOCKER}, {"workerGroup": "gpu"}])["t"]
    assert ([step.worker_group for step in found.steps], found.task_runner) == (["gpu"], None)
    alone = _planned(log("t"), placement=[{"taskRunner": DOCKER}])["t"]
    assert [step.worker_group for step in alone.steps] == [""]


def test_a_script_is_told_the_runner_that_it_would_take_and_why() -> None:
    found = _planned({"id": "a", "type": SCRIPT, **group("gpu")}, {"id": "b", "type": SCRIPT, "placement": [{"taskRunner": DOCKER}]}, log("c"))
    assert (found["a"].task_runner, found["a"].runner_reason) == ("core.runner.Process", "for gpu")
    assert (found["b"].task_runner, found["b"].runner_reason) == (DOCKER["type"], "the first step of its placement")
    assert found["c"].task_runner is None


def test_a_run_with_resources_takes_no_slot() -> None:
    found = _planned(log("t", resources={"cpu": "{{ n }}", "gpu": 0.25}, **group("full")), values={"{{ n }}": "2"})["t"]
    assert (found.resources, found.outlook) == ({"cpu": "2", "gpu": 0.25}, Outlook.NOW)


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ({"resources": {"gpu": "{{ n }}"}}, "gpu: 1.5 GPUs cannot be had: a fraction of one GPU, or a whole number of them"),
        ({"placement": [{"workerGroup": "gpu", "wait": "{{ n }}"}]}, "`1.5` is not an ISO-8601 duration such as PT30S or P1DT2H"),
    ],
)
def test_what_a_template_renders_to_may_be_wrong(said: dict[str, Any], because: str) -> None:
    found = _planned(log("t", **said), values={"{{ n }}": "1.5"})["t"]
    assert (found.outlook, found.because) == (Outlook.FAILS, because)


def test_a_template_is_rendered_where_it_can_be_and_shown_as_it_is_where_only_a_run_can_tell() -> None:
    found = _planned(log("a", **group("{{ pool }}")), log("b", **group("{{ taskrun.value }}")), values={"{{ pool }}": "gpu"})
    assert ([step.worker_group for step in found["a"].steps], found["a"].unrendered, found["a"].outlook) == (["gpu"], (), Outlook.NOW)
    assert [step.worker_group for step in found["b"].steps] == ["{{ taskrun.value }}"]
    assert (found["b"].unrendered, found["b"].outlook) == (("{{ taskrun.value }}",), Outlook.OPEN)


def test_a_wait_that_only_a_run_knows_is_shown_at_its_own_step() -> None:
    chain = [{"taskRunner": DOCKER}, {"workerGroup": "gpu", "wait": "{{ w }}"}, {"workerGroup": "full"}]
    found = _planned(log("t", placement=chain))["t"]
    assert [step.wait for step in found.steps] == ["{{ w }}", None]


def test_polling_triggers_are_told_after_the_tasks() -> None:
    triggers = [{"id": "p", "type": "Poll", **group("gpu")}, {"id": "s", "type": "Schedule"}]
    found = _planned(log("t"), triggers=triggers)
    assert [(one.id, one.kind, one.level) for one in found.values()] == [("t", "task", "default"), ("p", "trigger", "trigger")]


def test_without_a_server_nothing_is_said_of_what_would_become_of_it() -> None:
    found = _planned(log("t", **group("gone", "FAIL")), live=None)["t"]
    assert (found.outlook, found.because, found.steps[0].groups, found.fallback) == (None, None, (), "FAIL")


def test_what_stands_in_a_disabled_task_is_disabled() -> None:
    found = _planned(of("Sequential", "s", log("t", **group("gone")), disabled=True))
    assert found["t"].disabled is True
