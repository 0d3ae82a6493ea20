"""The actors where work runs: thin shells around Worker and Supervisor, which know nothing of Ray."""

from __future__ import annotations

import json
import os
import threading

import ray

from orchestrator.runtime.ray_calls import send_to_executor
from orchestrator.runtime.worker_assembly import supervisor_of, worker_of


class _Watched:
    """What Worker and Supervisor actors share: a call that ends only when another executor takes over the watch."""

    def __init__(self) -> None:
        self._watch = threading.Lock()
        self._released: threading.Event | None = None

    def alive(self, owner: str) -> str:
        mine = threading.Event()
        with self._watch:
            earlier, self._released = self._released, mine
        if earlier is not None:
            earlier.set()
        mine.wait()
        return owner


@ray.remote
class WorkerActor(_Watched):
    """The worker of one node: `run` lasts as long as the task, so that Ray's pages show it."""

    def __init__(self, config: str) -> None:
        super().__init__()
        self._worker = worker_of(json.loads(config), send_to_executor)

    def run(self, dispatch: str) -> None:
        self._worker.run_to_end(dispatch)

    def evaluate(self, dispatch: str) -> None:
        """Returns at once: a listener that lasted here would keep one of the calls at a time from all others, for ever."""
        self._worker.run(dispatch)

    def stop(self, stops: str) -> None:
        self._worker.stop(stops)

    def inventory(self) -> str:
        held: str = self._worker.inventory()
        return held

    def pid(self) -> int:
        return os.getpid()


@ray.remote
class SupervisorActor(_Watched):
    """The supervisor of the engines that one node reaches."""

    def __init__(self, config: str) -> None:
        super().__init__()
        self._supervisor = supervisor_of(json.loads(config), send_to_executor)

    def run(self, dispatch: str) -> None:
        self._supervisor.run_to_end(dispatch)

    def stop(self, stops: str) -> None:
        self._supervisor.stop(stops)

    def inventory(self) -> str:
        held: str = self._supervisor.inventory()
        return held

    def pid(self) -> int:
        return os.getpid()
