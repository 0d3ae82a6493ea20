"""The small peer of `ray_cluster`: workers as threads of this process. For unit tests, and for flows run without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from orchestrator.errors import Unavailable
from orchestrator.model.dispatch import Dispatch, Inventory, Stop
from orchestrator.model.growth import Ask
from orchestrator.model.place_name import PROCESS, WORKER, PlaceName
from orchestrator.model.resources import Resources
from orchestrator.model.stock import Stock, StockAsk
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

    def __init__(
        self,
        *,
        base: Path,
        services: ServicesFactory,
        installation: str,
        groups: Sequence[str] = (DEFAULT_GROUP,),
        slots: int = 8,
        machine: Mapping[str, float] | None = None,
    ) -> None:
        """`machine`: the resources that each worker's machine is said to have."""
        self._loop = asyncio.get_running_loop()
        self._lost: Callable[[str, bool], None] = lambda place, is_certain: None
        self._take: Callable[[str], object] | None = None
        self._new = partial(Worker, send=self._send, services=services, installation=installation)
        self._base, self._slots, self._machine = base, slots, dict(machine or {})
        self._workers: dict[str, Worker] = {}
        self._processes: dict[str, Worker] = {}
        self._closed = False
        self.asks: Sequence[Ask] = ()
        self.said: Sequence[str] = ()
        self.labels: dict[str, Mapping[str, str]] = {}  # by worker
        for group in groups:
            self.join(group)
        self._supervisor = Supervisor(name=SUPERVISOR, slots=0, send=self._send, services=services, base=base / "supervisor", installation=installation)

    def join(self, group: str, slots: int | None = None) -> str:
        """One more worker of a group; its name."""
        name = str(PlaceName(WORKER, group, "inline", f"{len(self._workers):x}"))
        self._workers[name] = self._new(name=name, group=group, slots=slots or self._slots, base=self._base / f"{group or 'default'}-{len(self._workers)}")
        return name

    def reports_to(self, take: Callable[[str], object]) -> None:
        """Where reports go: a coroutine function that returns once a batch is saved."""
        self._take = take

    def _send(self, text: str) -> None:
        if self._take is None:
            raise Unavailable("there is no executor yet")
        asyncio.run_coroutine_threadsafe(self._take(text), self._loop).result(ANSWER)  # type: ignore[arg-type]

    async def look(self) -> Sighting:
        return Sighting(
            tuple(
                WorkerInfo(name=name, group=worker.group, node_id=name, slots=worker.slots, resources=self._machine, labels=self.labels.get(name, {}))
                for name, worker in self._workers.items()
            )
        )

    def supervisor_of(self, worker: str, backend: str = "") -> str:
        return SUPERVISOR

    def process_on(self, worker: str, key: str, resources: Resources) -> str:
        name = str(PlaceName(PROCESS, key, "inline", "0"))
        if self._closed:
            raise Unavailable("this cluster is closing")
        if name not in self._processes:
            self._processes[name] = self._new(name=name, group=self._workers[worker].group, slots=1, base=self._base / key)
        return name

    def end(self, place: str) -> None:
        process = self._processes.pop(place, None)
        if process is not None:
            self._loop.run_in_executor(None, process.leave)

    def want(self, asks: Sequence[Ask]) -> None:
        """There is no autoscaler: tests see in `asks` what it would be asked, and have it come with `join`."""
        self.asks = asks

    def retire(self, worker: str, *, for_good: bool) -> None:
        ended = self._workers.pop(worker, None)
        if ended is not None:
            self._loop.run_in_executor(None, ended.leave)
            self._loop.call_soon(self._lost, worker, True)

    async def troubles(self) -> Sequence[str]:
        return self.said

    def _place(self, name: str) -> Worker | None:
        return self._supervisor if name == SUPERVISOR else self._workers.get(name) or self._processes.get(name)

    def run(self, place: str, dispatch: Dispatch) -> None:
        worker = self._place(place)
        if worker is None:
            self._loop.call_soon(self._lost, place, True)
        else:
            worker.run(dispatch.model_dump_json())

    def stop(self, place: str, stops: Sequence[Stop]) -> None:
        worker = self._place(place)
        if worker is None:
            self._loop.call_soon(self._lost, place, True)
        else:
            worker.stop("[" + ",".join(stop.model_dump_json() for stop in stops) + "]")

    def places_with(self, worker: str) -> Sequence[str]:
        return (worker,)

    def drain(self, worker: str) -> None:
        if worker in self._workers:
            self._workers[worker].drain()

    def hand_back(self, worker: str) -> None:
        if worker in self._workers:
            self._workers[worker].hand_back()

    async def inventory(self, place: str) -> Inventory | None:
        worker = self._place(place)
        return Inventory.model_validate_json(worker.inventory()) if worker is not None else None

    async def stock(self, worker: str, ask: StockAsk) -> Stock:
        return Stock.model_validate_json(await asyncio.to_thread(self._supervisor.stock, ask.model_dump_json()))

    def on_lost(self, told: Callable[[str, bool], None]) -> None:
        self._lost = told

    def on_beat(self, told: Callable[[str], None]) -> None:
        """What lives in this very process needs to give no sign of it."""

    def lose(self, name: str) -> None:
        """Let a worker go as a crash would: what it held is nobody's, and it is told."""
        worker = self._workers.pop(name)
        self._lost(name, True)
        worker.close()

    def close(self) -> None:
        """End every worker and what it runs."""
        self._closed = True
        for worker in (*self._workers.values(), *self._processes.values(), self._supervisor):
            worker.close()
