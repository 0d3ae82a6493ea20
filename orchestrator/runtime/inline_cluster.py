"""The small peer of `ray_cluster`: workers as threads of this process. For unit tests, and for flows run without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import Unavailable
from orchestrator.model.dispatch import Dispatch, Inventory, Stop
from orchestrator.model.worker import DEFAULT_GROUP, WorkerInfo
from orchestrator.runtime.cluster import Sighting
from orchestrator.runtime.services import ServicesFactory
from orchestrator.runtime.supervisor import Supervisor
from orchestrator.runtime.worker import Worker

Report = Callable[[str], "asyncio.Future[None]"]
SUPERVISOR = "supervisor:inline"
ANSWER = 30.0  # seconds until a report that was not taken is sent again


class InlineCluster:
    """Implements `cluster.Cluster`: one worker per group named, all in this process."""

    def __init__(self, *, base: Path, services: ServicesFactory, installation: str, groups: Sequence[str] = (DEFAULT_GROUP,), slots: int = 8) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: Callable[[str], None] = lambda place: None
        self._take: Callable[[str], object] | None = None
        self._workers: dict[str, Worker] = {}
        self._parts: dict[str, Any] = {"slots": slots, "send": self._send, "services": services, "installation": installation}
        self._base = base
        for group in groups:
            self.join(group)
        self._supervisor = Supervisor(name=SUPERVISOR, slots=0, send=self._send, services=services, base=base / "supervisor", installation=installation)

    def join(self, group: str, name: str = "inline") -> str:
        """One more worker of a group; its name."""
        full = f"worker:{group or 'default'}:{name}"
        self._workers[full] = Worker(name=full, group=group, base=self._base / full.replace(":", "-"), **self._parts)
        return full

    def reports_to(self, take: Callable[[str], object]) -> None:
        """Where reports go: a coroutine function that returns once a batch is saved."""
        self._take = take

    def _send(self, text: str) -> None:
        if self._take is None:
            raise Unavailable("there is no executor yet")
        asyncio.run_coroutine_threadsafe(self._take(text), self._loop).result(ANSWER)  # type: ignore[arg-type]

    async def look(self) -> Sighting:
        return Sighting(tuple(WorkerInfo(name=name, group=worker.group, node_id="inline", slots=worker.slots) for name, worker in self._workers.items()))

    def supervisor_of(self, worker: str) -> str:
        return SUPERVISOR

    def _place(self, name: str) -> Worker | None:
        return self._supervisor if name == SUPERVISOR else self._workers.get(name)

    def run(self, place: str, dispatch: Dispatch) -> None:
        worker = self._place(place)
        if worker is None:
            self._loop.call_soon(self._told, place)
        else:
            worker.run(dispatch.model_dump_json())

    def stop(self, place: str, stops: Sequence[Stop]) -> None:
        worker = self._place(place)
        if worker is None:
            self._loop.call_soon(self._told, place)
        else:
            worker.stop("[" + ",".join(stop.model_dump_json() for stop in stops) + "]")

    async def inventory(self, place: str) -> Inventory | None:
        worker = self._place(place)
        return Inventory.model_validate_json(worker.inventory()) if worker is not None else None

    def on_lost(self, told: Callable[[str], None]) -> None:
        self._told = told

    def lose(self, name: str) -> None:
        """Let a worker go as a crash would: what it held is nobody's, and it is told."""
        worker = self._workers.pop(name)
        self._told(name)
        worker.close()

    def drain(self, name: str) -> None:
        """Have a worker take nothing new and hand back what would last."""
        self._workers[name].drain()

    def close(self) -> None:
        """End every worker and what it runs."""
        for worker in (*self._workers.values(), self._supervisor):
            worker.close()
