"""Machines that are to take nothing new: until when what runs there may go on, and whether anything is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from orchestrator.model.values import Frozen, Instant, Json
from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.places import Places
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import Reader

DOCUMENT = "drain:"  # how the stored documents are named, followed by the node's id
FORGET_AFTER = timedelta(minutes=1)  # without a worker on the machine


class Drain(Frozen):
    """A machine that is drained: whatever worker it has takes nothing new; what runs at `deadline` is handed back."""

    node_id: str = Field(alias="nodeId")
    worker: str
    asked: Instant
    deadline: Instant


class Draining:
    """Kept in the store: a drain goes on when the executor comes back, and when the machine's worker is made anew."""

    def __init__(self, store: Reader, places: Places, cluster: Cluster, post: Callable[[Callable[[Turn], Any]], None]) -> None:
        self._places, self._cluster, self._post = places, cluster, post
        self._drains = {drain.node_id: drain for drain in map(Drain.model_validate, store.settings(DOCUMENT).values())}
        self._seen: dict[str, datetime] = {}  # when a worker of the machine was last there

    def of(self, node_id: str) -> Drain | None:
        return self._drains.get(node_id)

    def begin(self, turn: Turn, worker: WorkerInfo, grace: timedelta) -> Drain:
        """Drain a worker's machine. Asked again, the earlier of both deadlines holds."""
        before = self._drains.get(worker.node_id)
        deadline = turn.now + grace
        if before is not None:
            deadline = min(deadline, before.deadline)
        drain = Drain(node_id=worker.node_id, worker=worker.name, asked=before.asked if before else turn.now, deadline=deadline)
        turn.settings[DOCUMENT + drain.node_id] = drain.model_dump(mode="json", by_alias=True)
        self._places.drain(worker.name)  # at once: this very turn sends what has room
        turn.after.append(lambda: self._take(drain))
        return drain

    def _take(self, drain: Drain) -> None:
        self._drains[drain.node_id] = drain
        self._cluster.drain(drain.worker)

    def is_over(self, node_id: str) -> bool:
        """Whether nothing runs any more on a machine that is drained."""
        return node_id in self._drains and not any(self._holds(worker) for worker in self._on(node_id))

    def shown(self, node_id: str) -> Json:
        """For people: since when, until when, and whether it is over. None for a machine that is not drained."""
        drain = self._drains.get(node_id)
        return None if drain is None else {**drain.model_dump(mode="json", include={"asked", "deadline"}), "over": self.is_over(node_id)}

    def look(self, now: datetime) -> None:
        """After every look at the cluster: see that drained machines take nothing, and hand back what is late."""
        for drain in list(self._drains.values()):
            workers = self._on(drain.node_id)
            for worker in workers:
                self._see_to(worker, is_late=now >= drain.deadline)
            if workers:
                self._seen[drain.node_id] = now
            elif now - self._seen.setdefault(drain.node_id, now) > FORGET_AFTER:
                self._forget(drain.node_id)

    def _see_to(self, worker: WorkerInfo, *, is_late: bool) -> None:
        if worker.state is WorkerState.UP:  # made anew, or found by an executor that has come back
            self._places.drain(worker.name)
            self._cluster.drain(worker.name)
        if is_late and self._holds(worker):
            self._cluster.hand_back(worker.name)

    def _forget(self, node_id: str) -> None:
        del self._drains[node_id]
        del self._seen[node_id]
        self._post(lambda turn: turn.settings.update({DOCUMENT + node_id: None}))

    def _on(self, node_id: str) -> list[WorkerInfo]:
        return [worker for worker in self._places.workers() if worker.node_id == node_id]

    def _holds(self, worker: WorkerInfo) -> bool:
        return self._places.held_at(self._cluster.places_with(worker.name)) > 0
