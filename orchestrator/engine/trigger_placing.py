"""Which worker evaluates a trigger: the first place of its wish with a live worker that has room for one more evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.engine.wishes import Step, Wish
from orchestrator.model.flow import Fallback
from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.model.worker_group import WorkerGroup, tags_of


@dataclass(frozen=True)
class Chosen:
    """The worker that takes it."""

    worker: WorkerInfo


@dataclass(frozen=True)
class Held:
    """It waits: for a worker in one of the places `lacking` any, or for room in those that are `full`."""

    lacking: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


@dataclass(frozen=True)
class PassedOver:
    """There is no worker in any of these places, and the fallback says not to wait for one."""

    places: tuple[str, ...]
    fallback: Fallback


def place_for(
    wish: Wish,
    waited: timedelta,
    find: Callable[[Step], Sequence[WorkerInfo]],
    room: Callable[[WorkerInfo], int],
    may_grow: Callable[[Step], bool] = lambda step: False,
) -> Chosen | Held | PassedOver:
    """Where an evaluation goes that has been due for so long. `find` gives the workers that a step means, `room` how many more each takes,
    `may_grow` whether an autoscaler may bring another."""
    lacking, full = list[str](), list[str]()
    for step in wish.steps:
        if step.runner is not None:
            continue  # a container is for script tasks
        workers = find(step)
        freest = max(workers, key=room, default=None)
        if freest is not None and room(freest) > 0:
            return Chosen(freest)
        (full if workers else lacking).append(step.name)
        if step.wait is None or waited < step.wait or (step.if_live and (workers or may_grow(step))):
            return Held(tuple(lacking), tuple(full))
        waited -= step.wait
    if wish.fallback in (Fallback.FAIL, Fallback.CANCEL):
        return PassedOver(tuple(lacking), wish.fallback)
    return Held(tuple(lacking), tuple(full))


def workers_for(step: Step, workers: Iterable[WorkerInfo], declared: Mapping[str, WorkerGroup], namespace: str) -> Sequence[WorkerInfo]:
    """The workers that are up in the groups a step means and that the namespace may use."""
    by_group: dict[str, list[WorkerInfo]] = {}
    for worker in workers:
        by_group.setdefault(worker.group, []).append(worker)
    meant = [found for key, found in by_group.items() if _means(step, key, found, declared.get(key), namespace)]
    return [worker for found in meant for worker in found if worker.state is WorkerState.UP]


def _means(step: Step, key: str, workers: Sequence[WorkerInfo], group: WorkerGroup | None, namespace: str) -> bool:
    if group is not None and not group.allows(namespace):
        return False
    if not step.tags:
        return step.group == key
    tags = tags_of(key, group, (worker.labels for worker in workers))
    return tags.issuperset(step.tags) if step.match == "ALL" else not tags.isdisjoint(step.tags)
