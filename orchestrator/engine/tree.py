"""Walking the tasks of a flow without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.model.values import Json
from orchestrator.sdk.task import Flowable


@dataclass(frozen=True)
class Placed:
    """A task, the branch of its parent that it stands in, and the flowables around it, nearest first."""

    spec: TaskSpec
    branch: str
    parents: tuple[TaskSpec, ...] = ()


def tasks_of(flow: Flow, resolve: Callable[[TaskSpec], Flowable | None]) -> Mapping[str, Placed]:
    """Every task of a flow by its id, in source order. `resolve` gives the flowable behind a task, None for others."""
    lists = {"tasks": flow.tasks, "errors": flow.errors, "finally": flow.finally_, "afterExecution": flow.after_execution}
    lists |= {f"listeners.{at}": listener.tasks for at, listener in enumerate(flow.listeners)}
    return {placed.spec.id: placed for placed in _walk(lists, (), resolve)}


def _walk(lists: Mapping[str, Sequence[TaskSpec]], parents: tuple[TaskSpec, ...], resolve: Callable[[TaskSpec], Flowable | None]) -> Iterator[Placed]:
    for branch, specs in lists.items():
        for spec in specs:
            yield Placed(spec, branch, parents)
            flowable = resolve(spec)
            if flowable is not None:
                inner = {**flowable.branches(), "errors": flowable.errors, "finally": flowable.finally_}
                yield from _walk(inner, (spec, *parents), resolve)


def type_of(flow: Flow, task_id: str) -> str | None:
    """The type of a task at any depth, read from the source alone; None when there is no such task."""
    for specs in (flow.tasks, flow.errors, flow.finally_, flow.after_execution, *(listener.tasks for listener in flow.listeners)):
        for spec in specs:
            if spec.id == task_id:
                return spec.type
            found = _type_below(spec.raw, task_id)
            if found is not None:
                return found
    return None


def _type_below(raw: Json, task_id: str) -> str | None:
    if isinstance(raw, Mapping):
        if raw.get("id") == task_id and isinstance(raw.get("type"), str):
            return str(raw["type"])
        below: Sequence[Json] = list(raw.values())
    elif isinstance(raw, Sequence) and not isinstance(raw, str):
        below = raw
    else:
        return None
    return next((found for part in below if (found := _type_below(part, task_id)) is not None), None)
