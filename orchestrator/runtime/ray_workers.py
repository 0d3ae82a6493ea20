"""The actors where work runs: thin shells around Worker and Supervisor, which know nothing of Ray."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

import ray

from orchestrator.model.place_name import BACKEND, PlaceName
from orchestrator.runtime.pulse import Pulse
from orchestrator.runtime.ray_calls import beat, head_knows_this_node, send_to_executor
from orchestrator.runtime.worker_assembly import supervisor_of, worker_of

if TYPE_CHECKING:
    from orchestrator.runtime.worker import Worker


class _Watched:
    """What all our places share: they tell the head that they are there, and one call ends only when another executor takes
    over the watch."""

    def __init__(self, config: dict[str, Any], place: Worker) -> None:
        self._place, self._name = place, str(config["name"])
        self._watch = threading.Lock()
        self._released: threading.Event | None = None
        self._pulse = Pulse(self._known, place.renew).start()

    def _known(self) -> bool:
        known = head_knows_this_node()
        if known:
            beat(self._name)
        return known

    def alive(self, owner: str) -> str:
        mine = threading.Event()
        with self._watch:
            earlier, self._released = self._released, mine
        if earlier is not None:
            earlier.set()
        mine.wait()
        return owner

    def run(self, dispatch: str) -> None:
        self._place.run_to_end(dispatch)

    def evaluate(self, dispatch: str) -> None:
        """Returns at once: a listener that lasted here would keep one of the calls at a time from all others, for ever."""
        self._place.run(dispatch)

    def stop(self, stops: str) -> None:
        self._place.stop(stops)

    def inventory(self) -> str:
        held: str = self._place.inventory()
        return held

    def stock(self, asked: str) -> str:
        return self._place.stock(asked)

    def drain(self) -> None:
        self._place.drain()

    def hand_back(self) -> None:
        self._place.hand_back()

    def leave(self) -> None:
        """End once nothing is held and all is said."""
        self._place.leave()
        os._exit(0)

    def pid(self) -> int:
        return os.getpid()


@ray.remote
class WorkerActor(_Watched):
    """The worker of one node: `run` lasts as long as the task, so that Ray's pages show it."""

    def __init__(self, config: str) -> None:
        told = json.loads(config)
        super().__init__(told, worker_of(told, send_to_executor))


@ray.remote
class ProcessActor(_Watched):
    """A process of its own for one run, which holds the resources that the run asked for."""

    def __init__(self, config: str) -> None:
        told = json.loads(config)
        super().__init__(told, worker_of({**told, "kind": told["name"]}, send_to_executor))


@ray.remote
class SupervisorActor(_Watched):
    """The supervisor of the engines that one node reaches."""

    def __init__(self, config: str) -> None:
        told = json.loads(config)
        super().__init__(told, supervisor_of(told, send_to_executor))


@ray.remote
class BackendActor(_Watched):
    """The supervisor of one back end that belongs to no machine, on some machine of the group that launches jobs there."""

    def __init__(self, config: str) -> None:
        told = json.loads(config)
        self._supervisor = supervisor_of({**told, "kind": f"{BACKEND}-{PlaceName.label_of(told['name'])}"}, send_to_executor)
        super().__init__(told, self._supervisor)

    def hand_back(self) -> None:
        """Its machine is to go, and its jobs need not: they are adopted by the next, and this one ends."""
        self._supervisor.hand_over()
        self._supervisor.close()
        os._exit(0)
