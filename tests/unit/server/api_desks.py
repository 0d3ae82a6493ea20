"""The executor's own desks for workers, groups and tokens over a stand-in: real requests, real documents in the real store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from orchestrator.errors import NotFound
from orchestrator.model.worker import WorkerInfo
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.declaring import Declaring
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.fleet import Fleet
from orchestrator.runtime.overview import Overview
from orchestrator.runtime.places import Places
from orchestrator.runtime.roster import Roster
from orchestrator.runtime.tokens import TokenDesk
from orchestrator.runtime.turn import Turn
from orchestrator.runtime.worker_groups import WorkerGroups
from orchestrator.settings import Settings
from orchestrator.store.memory import MemoryStore

T = TypeVar("T")


class Machines:
    """Hears what is asked of workers' machines."""

    def __init__(self) -> None:
        self.drained: list[str] = []
        self.handed_back: list[str] = []

    def places_with(self, worker: str) -> Sequence[str]:
        return (worker,)

    def drain(self, worker: str) -> None:
        self.drained.append(worker)

    def hand_back(self, worker: str) -> None:
        self.handed_back.append(worker)


class Desks:
    """Has turns saved one by one, on a clock that tests move."""

    def __init__(self, store: MemoryStore, settings: Settings, cluster: Callable[[Any], Any], workers: Callable[[], list[dict[str, Any]]]) -> None:
        self.store, self.settings, self._told, self._workers = store, settings, cluster, workers
        self.machines, self.later = Machines(), timedelta()
        self.groups = WorkerGroups(store, settings)
        self.places = Places(lambda: self.groups.declared)
        self.roster = Roster(store, self.places, cast(Cluster, self.machines), self.post)
        executor = cast(Executor, self)
        self._desks = (Fleet(executor, cast(Overview, self)), Declaring(executor), TokenDesk(executor))

    def clock(self) -> datetime:
        return datetime.now(UTC) + self.later

    async def do(self, work: Callable[[Turn], T]) -> T:
        turn = Turn(self.clock())
        result = work(turn)
        self.store.commit(turn.changes())
        for act in turn.after:
            act()
        return result

    def post(self, work: Callable[[Turn], Any]) -> None:
        turn = Turn(self.clock())
        work(turn)
        self.store.commit(turn.changes())

    async def cluster(self, text: str) -> str:
        told = self._told({})
        return json.dumps({**told, "workers": [worker.model_dump(mode="json", by_alias=True, exclude_none=True) for worker in self.places.workers()]})

    def look(self) -> None:
        self.places.see(tuple(WorkerInfo.model_validate(worker) for worker in self._workers()))
        self.roster.look(self.clock())

    async def call(self, method: str, text: str) -> str:
        self.look()
        serve = next((found for desk in self._desks if (found := getattr(desk, method, None)) is not None), None)
        if serve is None:
            raise NotFound(f"no request `{method}`")
        answer: str = await serve(text)
        return answer
