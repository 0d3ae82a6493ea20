"""Who works here: the workers that are there, those that are drained, and for a while those that were lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from orchestrator.errors import NotFound, Refused
from orchestrator.model.values import Json, format_instant
from orchestrator.model.worker import OF_NODE, WorkerInfo, WorkerState
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.draining import Draining
from orchestrator.runtime.places import Places
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Reader

SHOWN_LOST = timedelta(hours=1)
ASK_AGAIN = 2.0  # seconds


class Roster:
    """Looks at the places after every look at the cluster. Who was lost is known to this executor only."""

    def __init__(self, store: Reader, places: Places, cluster: Cluster, post: Callable[[Callable[[Turn], Any]], None]) -> None:
        self._places = places
        self.draining = Draining(store, places, cluster, post)
        self._known: dict[str, WorkerInfo] = {}  # by name
        self._marks: dict[str, str] = {}  # of a joined machine's node: the name of its worker
        self._since: dict[str, datetime] = {}  # by name: when it was first seen
        self._lost: dict[str, WorkerInfo] = {}  # by name; `seen` says since when
        self._leaving: set[str] = set()  # by name: idle ones that were told to end

    def leaves(self, worker: str) -> None:
        """An idle worker is told to end: when it goes, it was not lost."""
        self._leaving.add(worker)

    def look(self, now: datetime) -> None:
        """Take in who is there now, and who is not any more."""
        self.draining.look(now)
        present = {worker.name: worker for worker in self._places.workers()}
        left_behind = self._places.left_behind()
        for name in self._known.keys() - present.keys():
            self._went(self._known[name], now, idle=not left_behind.get(name))
        for name in present.keys() - self._known.keys():
            self._came(present[name], now)
        self._known = present
        self._marks = {worker.labels[OF_NODE]: name for name, worker in present.items() if OF_NODE in worker.labels}
        self._lost = {name: worker for name, worker in self._lost.items() if worker.seen is not None and now - worker.seen < SHOWN_LOST}

    def _came(self, worker: WorkerInfo, now: datetime) -> None:
        self._since[worker.name] = now
        back = next((name for name, lost in self._lost.items() if _is_same_machine(lost, worker)), None)
        if back is not None:
            del self._lost[back]

    def _went(self, worker: WorkerInfo, now: datetime, *, idle: bool) -> None:
        self._since.pop(worker.name, None)
        is_leaving = worker.name in self._leaving or (self.draining.of(worker.node_id) is not None and idle)
        self._leaving.discard(worker.name)
        if worker.state is not WorkerState.STARTING and not is_leaving:  # one that is up goes by another name; one that left was not lost
            self._lost[worker.name] = worker.model_copy(update={"state": WorkerState.LOST, "used": 0, "seen": worker.seen or now})

    def one(self, beginning: str, *, lost: bool = False) -> WorkerInfo:
        """The worker whose id, name or machine begins so. Raises NotFound for none, Refused for several."""
        return one_of([*self._places.workers(), *(self._lost.values() if lost else ())], beginning)

    def of_mark(self, mark: str) -> WorkerInfo | None:
        """The worker of the node that a machine joined under a mark of its own."""
        return self._places.worker(self._marks.get(mark, ""))

    @property
    def ask_again(self) -> float:
        """Seconds after which a joined machine asks again how its worker fares: however many there are, they ask fifty times a second in all."""
        return max(ASK_AGAIN, len(self._marks) / 50)

    def shown(self) -> Json:
        """What is known beside the places: {"lost": [...], "drains": {node: ...}, "since": {worker: instant}}."""
        drains = {worker.node_id: self.draining.shown(worker.node_id) for worker in self._places.workers()}
        return {
            "lost": [worker.model_dump(mode="json", by_alias=True, exclude_none=True) for worker in self._lost.values()],
            "drains": {node: drain for node, drain in drains.items() if drain is not None},
            "since": {name: format_instant(at) for name, at in self._since.items()},
        }


def _is_same_machine(one: WorkerInfo, other: WorkerInfo) -> bool:
    return (one.hostname, one.group) == (other.hostname, other.group) or one.node_id == other.node_id


def one_of(workers: Iterable[WorkerInfo], beginning: str) -> WorkerInfo:
    """The worker whose id, name or machine is, or begins with, `beginning`. Raises NotFound for none, Refused for several."""
    workers = list(workers)
    found = [worker for worker in workers if beginning in _names(worker)]
    found = found or [worker for worker in workers if beginning and any(name.startswith(beginning) for name in _names(worker))]
    if not found:
        raise NotFound(f"no worker's id begins with `{beginning}`")
    if len(found) > 1:
        raise Refused(f"several workers begin with `{beginning}`: {', '.join(worker.node_id[:12] for worker in found[:5])}{' ...' if len(found) > 5 else ''}")
    return found[0]


def _names(worker: WorkerInfo) -> tuple[str, ...]:
    return worker.node_id, worker.name, worker.hostname
