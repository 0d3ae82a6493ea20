"""Where a task or a polling trigger is asked to run, and who asked: both dialects and chains, resolved over all levels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from orchestrator.model.flow import Fallback, Flow, PlacementStep, Tags, TaskSpec, TriggerSpec, WorkerGroupRef, WorkerSelector
from orchestrator.model.values import Frozen, Json, parse_duration
from orchestrator.model.values import up as up  # also to those who ask here
from orchestrator.sdk.template import is_template

AT_ONCE = timedelta()


class Asked(Frozen):
    """The three properties that say where work goes, as any level may set them; at most one of them counts, in this order."""

    placement: tuple[PlacementStep, ...] = ()
    worker_group: WorkerGroupRef | None = None
    worker_selector: WorkerSelector | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Json]) -> Asked:
        """What a level's own JSON says. Raises ValueError when it cannot be read."""
        return cls(placement=raw.get("placement") or (), worker_group=raw.get("workerGroup"), worker_selector=raw.get("workerSelector"))

    @property
    def anything(self) -> bool:
        return bool(self.placement or self.worker_group is not None or (self.worker_selector is not None and self.worker_selector.tags))


@dataclass(frozen=True)
class Step:
    """One place to try. Exactly one of `group` ("" is the default group), `tags` and `runner` says which.

    `wait` is how long to wait there for a free slot, None for ever. With `if_live` the wait counts only while no live
    worker could ever take the run: a busy group is waited for (the two dialects' fallbacks), an empty one is not.
    """

    group: str | None = None
    tags: tuple[str, ...] = ()
    match: Literal["ALL", "ANY"] = "ALL"
    runner: Mapping[str, Json] | None = field(default=None, hash=False)
    wait: timedelta | None = None
    if_live: bool = False

    @property
    def name(self) -> str:
        """As people know it."""
        if self.runner is not None:
            return f"taskRunner {str(self.runner.get('type', '')).rsplit('.', 1)[-1]}"
        if self.tags:
            return f"worker group with {'all' if self.match == 'ALL' else 'any'} of {', '.join(self.tags)}"
        return f"worker group '{self.group}'" if self.group else "the default worker group"


@dataclass(frozen=True)
class Wish:
    """The places to try in order, the level that set them, and the fallback where it was not written as a chain."""

    steps: tuple[Step, ...]
    level: str  # task, trigger, parent, flow, pluginDefaults, namespace, server, default
    fallback: Fallback = Fallback.WAIT
    is_written_chain: bool = False


@dataclass(frozen=True)
class Rules:
    """What is said of places outside flows. `matches` tells whether a plugin default's type means a given type."""

    namespaces: Mapping[str, Asked] = field(default_factory=dict)
    server: Asked | None = None
    namespace_defaults: Mapping[str, Sequence[Mapping[str, Json]]] = field(default_factory=dict)  # plugin defaults by namespace
    server_defaults: Sequence[Mapping[str, Json]] = ()
    matches: Callable[[str, str], bool] = lambda wanted, name: name.startswith(wanted)


NOTHING_SET = Rules()
DEFAULT = Wish((Step(group=""),), "default")


def asked_of(spec: TaskSpec | TriggerSpec, ancestors: Iterable[TaskSpec], flow: Flow, rules: Rules = NOTHING_SET) -> tuple[Asked, str]:
    """What was asked for a task or trigger, and at which level: the nearest wins.

    The task, the flowables around it (`ancestors`, nearest first), the flow, plugin defaults (the flow's, the
    namespaces' up the tree, the server's), the namespace up the tree, the server. A forced plugin default was laid over
    the task itself when the flow was saved. Nothing asked: the default group.
    """
    for level, asked in _levels(spec, ancestors, flow, rules):
        if asked.anything:
            return asked, level
    return Asked(), "default"


def _levels(spec: TaskSpec | TriggerSpec, ancestors: Iterable[TaskSpec], flow: Flow, rules: Rules) -> Iterator[tuple[str, Asked]]:
    yield "trigger" if isinstance(spec, TriggerSpec) else "task", _asked(spec)
    for parent in ancestors:
        yield "parent", _asked(parent)
    yield "flow", _asked(flow)
    for entry in plugin_defaults(flow, rules):
        if rules.matches(str(entry.get("type")), spec.type):
            yield "pluginDefaults", Asked.of(entry.get("values") or {})
    for namespace in up(flow.namespace):
        if namespace in rules.namespaces:
            yield "namespace", rules.namespaces[namespace]
    if rules.server is not None:
        yield "server", rules.server


def _asked(holder: TaskSpec | TriggerSpec | Flow) -> Asked:
    return Asked.model_construct(placement=holder.placement, worker_group=holder.worker_group, worker_selector=holder.worker_selector)


def plugin_defaults(flow: Flow, rules: Rules) -> Iterator[Mapping[str, Any]]:
    """Those for a flow, nearest first: its own, the namespaces' up the tree, the server's."""
    yield from flow.plugin_defaults
    for namespace in up(flow.namespace):
        yield from rules.namespace_defaults.get(namespace, ())
    yield from rules.server_defaults


# --- templates


def templates_of(asked: Asked) -> Json:
    """What must be rendered before the wish is known, or None. A step's `taskRunner` is not part of it: what it holds,
    secrets perhaps, is rendered where the task runs."""
    steps = tuple(step.model_copy(update={"task_runner": {}}) if step.task_runner is not None else step for step in asked.placement)
    raw = asked.model_copy(update={"placement": steps}).model_dump(mode="json", exclude_none=True)
    return raw if holds_template(raw) else None


def rendered(asked: Asked, answers: Json) -> Asked:
    """The same with its templates rendered (`answers` as `templates_of` gave them out). Raises ValueError."""
    if answers is None:
        return asked
    found = Asked.model_validate(answers)
    runners = [step.task_runner for step in asked.placement]
    steps = (step.model_copy(update={"task_runner": runner}) if runner is not None else step for step, runner in zip(found.placement, runners, strict=False))
    return found.model_copy(update={"placement": tuple(steps)})


def holds_template(value: Json) -> bool:
    """Whether anything within a value is a template."""
    if isinstance(value, str):
        return is_template(value)
    if isinstance(value, Mapping):
        return any(holds_template(one) for one in value.values())
    return isinstance(value, list | tuple) and any(holds_template(one) for one in value)


# --- chains


def chain_of(asked: Asked, level: str) -> Wish:
    """The steps behind what was asked; the four fallbacks are chains too. Raises ValueError for a bad duration."""
    if asked.placement:
        last = len(asked.placement) - 1
        return Wish(tuple(_step(step, is_last=at == last) for at, step in enumerate(asked.placement)), level, is_written_chain=True)
    if asked.worker_group is not None:
        return _with_fallback(Step(group=(asked.worker_group.key or "").strip()), asked.worker_group.fallback, level)
    if asked.worker_selector is not None and asked.worker_selector.tags:
        selector = asked.worker_selector
        return _with_fallback(Step(tags=tuple(tag.strip() for tag in selector.tags), match=selector.match), selector.fallback, level)
    return DEFAULT


def _step(written: PlacementStep, *, is_last: bool) -> Step:
    wait = parse_duration(written.wait) if written.wait is not None else None if is_last else AT_ONCE
    match written.worker_group:
        case Tags(tags=tags, match=how):
            return Step(tags=tuple(tag.strip() for tag in tags), match=how, wait=wait)
        case str(key):
            return Step(group=key.strip(), wait=wait)
    return Step(runner=written.task_runner, wait=wait)


def _with_fallback(step: Step, fallback: Fallback, level: str) -> Wish:
    if fallback is Fallback.WAIT or step.group == "":
        return Wish((step,), level, fallback)
    first = replace(step, wait=AT_ONCE, if_live=True)
    return Wish((first, Step(group="")) if fallback is Fallback.IGNORE else (first,), level, fallback)
