"""Where each task of a flow would go, without running it: the wish of every task, and what would become of it now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.outlook import Live, outlook, seen
from orchestrator.engine.tree import Placed, tasks_of
from orchestrator.engine.wishes import AT_ONCE, Asked, Rules, Step, Wish, asked_of, chain_of, holds_template, plugin_defaults
from orchestrator.model.flow import Flow, TaskSpec, TriggerSpec
from orchestrator.model.plan import Outlook, PlannedStep, PlannedTask
from orchestrator.model.resources import Resources
from orchestrator.model.values import Json, format_duration
from orchestrator.sdk.task import Flowable
from orchestrator.sdk.template import is_template
from orchestrator.sdk.workspace import Workspace

Render = Callable[[str], str | None]  # a template's text, None when only a run can tell
Runner = Callable[[TaskSpec, str], tuple[str | None, str | None]]  # (task, group) -> type and reason, None for what is no script


@dataclass(frozen=True)
class Planning:
    """What a plan is made of, beside the flow. `live` None: nothing is known of workers. `is_ephemeral` tells of a runner's type."""

    resolve: Callable[[TaskSpec], Flowable | None]
    render: Render
    runner: Runner
    is_ephemeral: Callable[[str], bool]
    looks: Callable[[TriggerSpec], bool]  # whether workers evaluate a trigger
    rules: Rules
    stays: Callable[[TaskSpec], bool] = lambda spec: False  # whether the server does it itself
    live: Live | None = None

    def tasks(self, flow: Flow) -> Iterator[PlannedTask]:
        """Every task in the order of the text, then the triggers that workers evaluate."""
        for placed in tasks_of(flow, self.resolve).values():
            known, leads = _known(placed), self.resolve(placed.spec)
            if self.stays(placed.spec) or (leads is not None and not isinstance(leads, Workspace)):
                yield known.model_copy(update={"kind": "flowable"})
            else:
                yield self._planned(known, *self._sent(placed), flow)
        for trigger in flow.triggers:
            if self.looks(trigger):
                yield self._planned(PlannedTask(id=trigger.id, type=trigger.type, kind="trigger", disabled=trigger.disabled), trigger, (), flow)

    def _sent(self, placed: Placed) -> tuple[TaskSpec, Sequence[TaskSpec]]:
        """What is sent somewhere, and the flowables around it: the workspace of a task that is in one."""
        at = next((at for at, parent in enumerate(placed.parents) if isinstance(self.resolve(parent), Workspace)), None)
        return (placed.spec, placed.parents) if at is None else (placed.parents[at], placed.parents[at + 1 :])

    def _planned(self, known: PlannedTask, spec: TaskSpec | TriggerSpec, parents: Sequence[TaskSpec], flow: Flow) -> PlannedTask:
        """What is known of a task, and where it would go."""
        texts, found = _Texts(self.render), dict[str, Any]()
        try:
            asked, level = asked_of(spec, parents, flow, self.rules)
            found |= self._said(asked, level, spec, parents, flow)
            wish = self._wish(texts, asked, level)
            found |= self._needs(texts, spec)
        except ValueError as err:
            return known.model_copy(update={**found, "unrendered": tuple(texts.left), "outlook": Outlook.FAILS, "because": _first(err)})
        steps, waits = zip(*self._passable(wish, texts.waits, spec), strict=True)
        runner, reason = self._runner(steps[0], spec)
        shown = tuple(self._step(step, flow.namespace, wait) for step, wait in zip(steps, waits, strict=True))
        found |= {"steps": shown, "fallback": wish.fallback.value, "task_runner": runner, "runner_reason": reason, "unrendered": tuple(texts.left)}
        if self.live is not None:
            takes_no_slot = found.get("resources") is not None or (runner is not None and self.is_ephemeral(runner))
            found["outlook"], found["because"] = outlook(wish, steps, shown, takes_no_slot=takes_no_slot)
        return known.model_copy(update=found)

    def _said(self, asked: Asked, level: str, spec: TaskSpec | TriggerSpec, parents: Sequence[TaskSpec], flow: Flow) -> dict[str, str | None]:
        """The level that set the place; a forced default was laid over the task when the flow was saved."""
        mine = [one for one in plugin_defaults(flow, self.rules) if one.get("forced") and self.rules.matches(str(one.get("type")), spec.type)]
        if level in ("task", "trigger") and any(Asked.of(one.get("values") or {}).anything for one in mine):
            return {"level": "pluginDefaults", "said_by": "forced"}
        return {"level": level, "said_by": _speaker(asked, level, parents)}

    def _wish(self, texts: _Texts, asked: Asked, level: str) -> Wish:
        raw = texts.rendered(asked.model_dump(mode="json", by_alias=True, exclude_none=True)) if asked.anything else None
        if raw is None:
            return chain_of(asked, level)
        for at, step in enumerate(raw.get("placement") or ()):
            if is_template(step.get("wait")):
                texts.waits[at], step["wait"] = step["wait"], format_duration(AT_ONCE)
        return chain_of(Asked.model_validate(raw), level)

    def _needs(self, texts: _Texts, spec: TaskSpec | TriggerSpec) -> dict[str, Any]:
        if not isinstance(spec, TaskSpec):
            return {}
        resources = texts.rendered(spec.resources) if spec.resources else None
        if resources is not None and not holds_template(resources):
            Resources.model_validate(resources)
        return {"resources": resources, "queue_timeout": texts.rendered(spec.queue_timeout)}

    def _passable(self, wish: Wish, waits: Mapping[int, str], spec: TaskSpec | TriggerSpec) -> Sequence[tuple[Step, str | None]]:
        """The steps that something of this kind can take at all, with their waits as written: what is no script passes over task runners."""
        is_script = isinstance(spec, TaskSpec) and self.runner(spec, "")[0] is not None
        return [(step, waits.get(at)) for at, step in enumerate(wish.steps) if is_script or step.runner is None] or [(Step(group=""), None)]

    def _runner(self, step: Step, spec: TaskSpec | TriggerSpec) -> tuple[str | None, str | None]:
        """Of the first step."""
        if not isinstance(spec, TaskSpec):
            return None, None
        if step.runner is not None:
            return str(step.runner.get("type")), "the first step of its placement"
        return self.runner(spec, step.group or ", ".join(step.tags))

    def _step(self, step: Step, namespace: str, wait: str | None) -> PlannedStep:
        groups, refused = seen(step, namespace, self.live) if self.live is not None else ((), None)
        return PlannedStep(
            place=step.name,
            worker_group=step.group,
            tags=step.tags,
            match=step.match,
            task_runner=str(step.runner.get("type")) if step.runner is not None else None,
            wait=wait or (None if step.wait is None or step.if_live else format_duration(step.wait)),
            groups=groups,
            refused=refused,
        )


class _Texts:
    """Renders what can be, and keeps what cannot as it was written. `waits` are the steps whose wait is such a text."""

    def __init__(self, render: Render) -> None:
        self._render, self.left, self.waits = render, dict[str, None](), dict[int, str]()

    def rendered(self, value: Json) -> Any:
        """The value with every text in it rendered that can be."""
        if isinstance(value, Mapping):
            return {key: self.rendered(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.rendered(item) for item in value]
        if not is_template(value):
            return value
        text = self._render(str(value))
        if text is None:
            self.left[str(value)] = None
        return str(value) if text is None else text


def _known(placed: Placed) -> PlannedTask:
    spec, parents = placed.spec, tuple(parent.id for parent in reversed(placed.parents))
    disabled = spec.disabled or any(parent.disabled for parent in placed.parents)
    return PlannedTask(id=spec.id, type=spec.type, parents=parents, branch=placed.branch, disabled=disabled)


def _speaker(asked: Asked, level: str, parents: Sequence[TaskSpec]) -> str | None:
    """The flowable that said it."""
    if level != "parent":
        return None
    return next(
        (one.id for one in parents if (one.placement, one.worker_group, one.worker_selector) == (asked.placement, asked.worker_group, asked.worker_selector)),
        None,
    )


def _first(err: ValueError) -> str:
    """What is wrong, in one line."""
    errors = getattr(err, "errors", None)
    if errors is None:
        return str(err)
    first = errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
