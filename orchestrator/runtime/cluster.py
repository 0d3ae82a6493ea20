"""The port to the places where work runs. `ray_cluster` is the product; `inline_cluster` serves tests and `run --inline`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.model.dispatch import Dispatch, Inventory, Stop
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

    def supervisor_of(self, worker: str) -> str:
        """The name of the supervisor on the machine of a worker; it is made on first use."""

    def run(self, place: str, dispatch: Dispatch) -> None: ...

    def stop(self, place: str, stops: Sequence[Stop]) -> None: ...

    async def inventory(self, place: str) -> Inventory | None:
        """What a place holds; None when it is known to be dead. Raises Unavailable when nothing is known."""

    def on_lost(self, told: Callable[[str], None]) -> None:
        """Have `told(place)` called when a worker or supervisor has died."""
