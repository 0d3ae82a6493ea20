"""The port to the places where work runs. `ray_cluster` is the product; `inline_cluster` serves tests and `run --inline`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.model.dispatch import Dispatch, Inventory, Stop
from orchestrator.model.growth import Ask
from orchestrator.model.resources import Resources
from orchestrator.model.stock import Stock, StockAsk
from orchestrator.model.worker import WorkerInfo


@dataclass(frozen=True)
class Sighting:
    """What the cluster looks like now: the workers that are up, by name."""

    workers: tuple[WorkerInfo, ...]


class Cluster(Protocol):
    """Sends work to workers and supervisors by name. Sending never waits and never raises: what is lost is noticed
    through `on_lost` or `inventory`, and sent again."""

    async def look(self) -> Sighting:
        """The live workers, after making those that a node of the cluster lacks."""

    def supervisor_of(self, worker: str, backend: str = "") -> str:
        """The name of the supervisor on the machine of a worker; it is made on first use. With `backend`, of the one supervisor
        that the worker's group has for that place, on whatever machine it stands."""

    def process_on(self, worker: str, key: str, resources: Resources) -> str:
        """The name of a process of its own on the machine of a worker, holding these resources; the same for the same key.
        It is made on first use, takes one run, and is there until `end`."""

    def end(self, place: str) -> None:
        """Have a place end once it holds nothing more; at once when it does not answer. A place that is gone is no error."""

    def want(self, asks: Sequence[Ask]) -> None:
        """Have an autoscaler bring these machines, instead of those wanted before; what `retire` left without a worker is taken
        first. There is one ask for every group that may grow, also when it wants nothing now."""

    def retire(self, worker: str, *, for_good: bool) -> None:
        """End an idle worker and what stands beside it, and give its machine no other one until its group wants one (`for_good`:
        never), so that an autoscaler may take it away."""

    async def troubles(self) -> Sequence[str]:
        """Why machines that were wanted could not be had lately, as far as their provider tells."""

    def run(self, place: str, dispatch: Dispatch) -> None: ...

    def stop(self, place: str, stops: Sequence[Stop]) -> None: ...

    def places_with(self, worker: str) -> Sequence[str]:
        """The names of the places on a worker's machine: itself, the supervisor and the processes where there are any."""

    def drain(self, worker: str) -> None:
        """Have all on a worker's machine take nothing new. Asking again is harmless."""

    def hand_back(self, worker: str) -> None:
        """Have all that runs on a worker's machine stopped and handed back, cause WORKER_SHUTDOWN. Asking again is harmless."""

    async def inventory(self, place: str) -> Inventory | None:
        """What a place holds; None when it is known to be dead. Raises Unavailable when nothing is known."""

    async def stock(self, worker: str, ask: StockAsk) -> Stock:
        """What is ours at the back ends that a worker's machine reaches. Raises Unavailable."""

    def on_lost(self, told: Callable[[str, bool], None]) -> None:
        """Have `told(place, is_certain)` called when a worker, supervisor or process has died. Not certain: its machine is
        gone or out of reach, and what it held may still run there."""

    def on_beat(self, told: Callable[[str], None]) -> None:
        """Have `told(place)` called whenever a place has been heard of."""
