"""Plans of flows: what the engine says of places, with all that can be known of inputs, groups and workers before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orchestrator import registry
from orchestrator.engine.outlook import Live
from orchestrator.engine.planning import Planning
from orchestrator.engine.wishes import Rules
from orchestrator.errors import ExpressionFailed, FlowInvalid, InputInvalid, NotFound
from orchestrator.lang.check import check
from orchestrator.lang.defaults import matches
from orchestrator.lang.expressions import Renderer, references
from orchestrator.lang.flows import message_of
from orchestrator.lang.inputs import nested, validate_each
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.plan import FlowPlan, GroupStanding
from orchestrator.model.surroundings import NOTHING_KNOWN, Surroundings
from orchestrator.model.values import Json
from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.runtime.engines import docker_answers
from orchestrator.runtime.flow_cache import flowable_of, starts_executions
from orchestrator.runtime.runner_choice import Rule, is_ephemeral, runner_of
from orchestrator.sdk import PollingTrigger, RealtimeTrigger

_KNOWN_BEFORE = frozenset({"inputs", "vars", "flow", "labels", "globals", "envs"})  # what a template may name to be rendered before a run
NOTHING_SAID = Rules(matches=lambda wanted, name: matches(wanted, name, registry.load))


@dataclass(frozen=True)
class Grounds:
    """What a plan rests on beside the flow. Without `standings` nothing is known of workers."""

    rules: Rules = NOTHING_SAID
    around: Surroundings = NOTHING_KNOWN
    standings: Mapping[str, GroupStanding] | None = None
    default_runner: Rule = "auto"
    engine_answers: Callable[[], bool] = docker_answers
    variables: Mapping[str, Json] = field(default_factory=dict)  # globals, envs


def plan_of(source: str, inputs: Mapping[str, Json], labels: Mapping[str, str], grounds: Grounds) -> FlowPlan:
    """Where each task of a flow would go. Raises FlowInvalid with every problem, InputInvalid for an input given that breaks its declaration."""
    flow, found = check(source, around=grounds.around)
    if flow is None:
        raise FlowInvalid(message_of(found), found)
    planning = Planning(
        resolve=flowable_of,
        stays=starts_executions,
        render=partial(_rendered, Renderer(), *_context(flow, inputs, labels, grounds)),
        runner=lambda spec, group: runner_of(
            spec, group=group, rule=grounds.default_runner, engine_answers=grounds.engine_answers, resources=spec.resources is not None
        ),
        is_ephemeral=is_ephemeral,
        looks=_looks,
        rules=grounds.rules,
        live=Live(grounds.around.groups, grounds.standings) if grounds.standings is not None else None,
    )
    warnings = tuple(one.model_dump(mode="json", exclude_none=True) for one in found if one.severity == "warning")
    return FlowPlan(namespace=flow.namespace, id=flow.id, live=planning.live is not None, tasks=tuple(planning.tasks(flow)), warnings=warnings)


def standings_of(workers: Iterable[WorkerInfo], queued: Mapping[str, int], growing: Iterable[str] = ()) -> Mapping[str, GroupStanding]:
    """Every group that has a live worker or work that waits, as it is now, and those to which an autoscaler may bring machines (`growing`)."""
    growing = frozenset(growing)
    found = {key: GroupStanding(key=key, queued=queued.get(key, 0), may_grow=key in growing or None) for key in {*queued, *growing}}
    for worker in workers:
        if worker.state is not WorkerState.UP:
            continue
        group = found.get(worker.group) or GroupStanding(key=worker.group)
        more = {"workers": group.workers + 1, "slots": group.slots + worker.slots, "free": group.free + max(0, worker.slots - worker.used)}
        found[worker.group] = group.model_copy(update=more)
    return found


def _context(flow: Flow, inputs: Mapping[str, Json], labels: Mapping[str, str], grounds: Grounds) -> tuple[Mapping[str, Any], frozenset[str]]:
    """What templates see, and the inputs that are not known: neither given nor by default, or secret."""
    context: dict[str, Any] = {
        **grounds.variables,
        "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
        "vars": dict(flow.variables),
        "labels": {**{label.key: label.value for label in flow.labels}, **labels},
    }
    states = validate_each(flow, inputs, {}, renderer=Renderer(), variables=context)
    wrong = [error["message"] for state in states if state.input["id"] in inputs for error in state.errors]
    if wrong:
        raise InputInvalid("\n".join(wrong))
    known = {str(one.input["id"]): one.value for one in states if one.enabled and not one.errors and one.input.get("type") != "SECRET"}
    return {**context, "inputs": nested(known)}, frozenset(one.id for one in flow.inputs if one.id not in known)


def _rendered(renderer: Renderer, context: Mapping[str, Any], unknown: frozenset[str], template: str) -> str | None:
    """A template's text where it names only what is known before a run, else None."""
    for path in references(template):
        if path[0] not in _KNOWN_BEFORE or (path[0] == "inputs" and _may_mean(path[1:], unknown)):
            return None
    try:
        return renderer.render(template, context)
    except ExpressionFailed:
        return None


def _may_mean(path: tuple[str, ...], inputs: frozenset[str]) -> bool:
    """Whether a path below `inputs` reads one of these, whose ids may be nested by dots."""
    named = ".".join(path)
    return bool(inputs) if not path or "*" in path else any(f"{one}.".startswith(f"{named}.") or f"{named}.".startswith(f"{one}.") for one in inputs)


def _looks(trigger: TriggerSpec) -> bool:
    try:
        return issubclass(registry.load("trigger", trigger.type), PollingTrigger | RealtimeTrigger)
    except NotFound:
        return False
