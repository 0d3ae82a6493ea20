"""Where a task or a polling trigger is asked to run: every level, both dialects, chains."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from engine_driving import Driver, Resolver, a_flow, log, of
from pydantic import ValidationError

from orchestrator.engine.tree import tasks_of
from orchestrator.engine.wishes import Asked, Rules, Step, Wish, asked_of, chain_of
from orchestrator.model.flow import Fallback, PlacementStep, TaskSpec, TriggerSpec

GPU: dict[str, Any] = {"workerGroup": {"key": "gpu"}}
OTHER: dict[str, Any] = {"workerGroup": {"key": "other"}}
RULES = Rules(
    namespaces={"io": Asked.of({"workerGroup": {"key": "far"}}), "io.test": Asked.of({"workerGroup": {"key": "near"}}), "io.tes": Asked.of(GPU)},
    namespace_defaults={"io": ({"type": "Log", "values": {"workerGroup": {"key": "of-namespace-plugins"}}},)},
    server=Asked.of({"workerGroup": {"key": "of-server"}}),
    server_defaults=({"type": "Log", "values": {"workerGroup": {"key": "of-server-plugins"}}},),
)


def _wish(holder: dict[str, Any], parents: tuple[dict[str, Any], ...] = (), rules: Rules = RULES, *, trigger: bool = False, **flow: Any) -> Wish:
    specs = [TaskSpec.model_validate(of("Sequential", f"p{i}", **parent)) for i, parent in enumerate(parents)]
    spec = (TriggerSpec if trigger else TaskSpec).model_validate(holder)
    return chain_of(*asked_of(spec, specs, a_flow(log("t"), **flow), rules))


def _first(wish: Wish) -> tuple[str | None, str]:
    return wish.steps[0].group, wish.level


PLUGIN_DEFAULTS = [{"type": "Log", "values": {"workerGroup": {"key": "of-plugins"}}}]
WITHOUT_PLUGINS = Rules(namespaces=RULES.namespaces, server=RULES.server)


@pytest.mark.parametrize("trigger", [False, True])
def test_the_nearest_level_wins_from_the_task_or_trigger_down_to_the_default(trigger: bool) -> None:
    own = "trigger" if trigger else "task"
    assert _first(_wish(log("t", **GPU), (OTHER,), trigger=trigger, pluginDefaults=PLUGIN_DEFAULTS, **OTHER)) == ("gpu", own)
    assert _first(_wish(log("t"), trigger=trigger, pluginDefaults=PLUGIN_DEFAULTS, **GPU)) == ("gpu", "flow")
    assert _first(_wish(log("t"), trigger=trigger, pluginDefaults=PLUGIN_DEFAULTS)) == ("of-plugins", "pluginDefaults")
    assert _first(_wish(log("t"), trigger=trigger)) == ("of-namespace-plugins", "pluginDefaults")
    assert _first(_wish(log("t"), (), Rules(server_defaults=RULES.server_defaults), trigger=trigger)) == ("of-server-plugins", "pluginDefaults")
    assert _first(_wish(log("t"), (), WITHOUT_PLUGINS, trigger=trigger)) == ("near", "namespace")
    assert _first(_wish(log("t"), (), Rules(namespaces={"io": RULES.namespaces["io"]}, server=RULES.server), trigger=trigger)) == ("far", "namespace")
    assert _first(_wish(log("t"), (), Rules(server=RULES.server), trigger=trigger)) == ("of-server", "server")
    assert _first(_wish(log("t"), (), Rules(), trigger=trigger)) == ("", "default")


def test_the_nearest_flowable_around_a_task_wins_over_the_flow() -> None:
    assert _first(_wish(log("t"), ({}, GPU, OTHER), **OTHER)) == ("gpu", "parent")


def test_a_namespace_says_nothing_for_one_whose_name_only_begins_like_it() -> None:
    assert _first(_wish(log("t"), (), Rules(namespaces={"i": Asked.of(GPU), "io.tes": Asked.of(GPU)}))) == ("", "default")


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_blank_key_names_the_default_group_at_its_own_level(key: str | None) -> None:
    wish = _wish(log("t", workerGroup={"key": key, "fallback": "FAIL"}), (), **GPU)
    assert (_first(wish), wish.fallback) == (("", "task"), Fallback.FAIL)


def test_each_dialect_keeps_its_own_default_fallback() -> None:
    assert _wish(log("t", **GPU)).fallback is Fallback.WAIT
    assert _wish(log("t", workerSelector={"tags": ["gpu"]})).fallback is Fallback.FAIL


def test_a_selector_keeps_all_its_tags_and_how_they_match() -> None:
    (step,) = _wish(log("t", workerSelector={"tags": ["gpu", "eu"], "match": "ANY", "fallback": "WAIT"})).steps
    assert step == Step(tags=("gpu", "eu"), match="ANY")


def test_the_four_fallbacks_are_chains() -> None:
    def steps(fallback: str) -> tuple[Step, ...]:
        return _wish(log("t", workerGroup={"key": "gpu", "fallback": fallback})).steps

    first = Step(group="gpu", wait=timedelta(), if_live=True)
    assert steps("WAIT") == (Step(group="gpu"),)
    assert steps("FAIL") == steps("CANCEL") == (first,)
    assert steps("IGNORE") == (first, Step(group=""))


def test_a_placement_chain_waits_not_at_all_but_at_its_last_step_for_ever_unless_it_says_otherwise() -> None:
    docker = {"type": "io.kestra.plugin.scripts.runner.docker.Docker"}
    chain = [{"workerGroup": "gpu", "wait": "PT5S"}, {"workerGroup": {"tags": ["big"], "match": "ANY"}}, {"workerGroup": {"key": "x"}}, {"taskRunner": docker}]
    assert _wish(log("t", placement=chain)).steps == (
        Step(group="gpu", wait=timedelta(seconds=5)),
        Step(tags=("big",), match="ANY", wait=timedelta()),
        Step(group="x", wait=timedelta()),
        Step(runner=docker),
    )


@pytest.mark.parametrize("step", [{}, {"wait": "PT1S"}, {"workerGroup": "a", "taskRunner": {"type": "x"}}])
def test_a_step_names_one_place(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either a `workerGroup` or a `taskRunner`"):
        PlacementStep.model_validate(step)


def test_a_selector_has_at_most_twenty_tags() -> None:
    with pytest.raises(ValidationError, match="at most 20"):
        _wish(log("t", workerSelector={"tags": [f"t{n}" for n in range(21)]}))


@pytest.mark.parametrize(
    "written",
    [{"workerGroup": {"key": "{{ inputs.pool }}"}}, {"workerSelector": {"tags": ["{{ inputs.pool }}"]}}, {"placement": [{"workerGroup": "{{ inputs.pool }}"}]}],
)
def test_a_templated_place_is_asked_for_before_the_run_is_sent_wherever_it_stands(written: dict[str, Any]) -> None:
    driven = Driver(a_flow(of("Sequential", "s", log("t"), **written)), inputs={"pool": "gpu"}).start()
    asked, _ = asked_of(TaskSpec.model_validate(log("t")), driven.view.ancestors(driven.one("t")), driven.view.flow)
    answers = driven.view.before_answers(driven.one("t"))["placement"]
    first = chain_of(Asked.model_validate(answers), "parent").steps[0]
    assert asked.anything
    assert "gpu" in (first.group, *first.tags)


def test_every_task_is_found_with_what_is_around_it() -> None:
    choice = {"id": "i", "type": "If", "condition": "true", "then": [log("yes")], "else_": [log("no")], "errors": [log("ie")]}
    found = tasks_of(a_flow(of("Sequential", "s", choice), log("z"), errors=[log("e")]), Resolver())
    assert list(found) == ["s", "i", "yes", "no", "ie", "z", "e"]
    assert (found["no"].branch, [spec.id for spec in found["no"].parents], found["ie"].branch, found["e"].parents) == ("else", ["i", "s"], "errors", ())
