"""Which worker group a task is sent to, and who said so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.model.flow import Fallback, Flow, TaskSpec


def group_of(spec: TaskSpec, ancestors: Iterable[TaskSpec], flow: Flow, defaults: Mapping[str, str]) -> tuple[str, str, Fallback]:
    """The group's key (perhaps a template; "" is the default group), the level that set it, and what to do without workers.

    The nearest wins: the task, the flowables around it (`ancestors`, nearest first), the flow, then `defaults` by
    namespace, up the tree. Of a selector the first tag names the group.
    """
    named = _named(spec, "task") or next(filter(None, (_named(parent, "parent") for parent in ancestors)), None) or _named(flow, "flow")
    if named is not None:
        return named
    for namespace in _up(flow.namespace):
        if namespace in defaults:
            return defaults[namespace].strip(), "namespace", Fallback.WAIT
    return "", "default", Fallback.WAIT


def _named(holder: TaskSpec | Flow, level: str) -> tuple[str, str, Fallback] | None:
    group, selector = holder.worker_group, holder.worker_selector
    if group is not None:
        return (group.key or "").strip(), level, group.fallback
    if selector is not None and selector.tags:
        return selector.tags[0].strip(), level, selector.fallback
    return None


def _up(namespace: str) -> Iterator[str]:
    parts = namespace.split(".")
    while parts:
        yield ".".join(parts)
        parts.pop()
