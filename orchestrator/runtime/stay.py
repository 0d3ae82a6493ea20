"""The time of one node of ours in one cluster: seen by the server, watched, drained."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import psutil

from orchestrator.errors import Refused, Unavailable
from orchestrator.model.worker import WorkerState
from orchestrator.runtime import ray_processes
from orchestrator.runtime.join_client import JoinClient
from orchestrator.runtime.ray_processes import Node

Say = Callable[[str], None]
SEEN_LIMIT = 45.0  # seconds until the worker must be seen by the server
LOOK, ASK = 0.5, 2.0  # seconds between looks at the node, and between questions to the server unless it says otherwise
MARGIN = 20.0  # seconds past the grace for what is handed back to be told


class Left(Enum):
    """Why a node was left."""

    STOPPED = auto()  # told to stop, here
    DRAINED = auto()  # from afar
    GONE = auto()  # its cluster is not there any more
    MOVED = auto()  # the server has another cluster


class Stay:
    """The time of one node in one cluster, from its start until it is to be ended."""

    def __init__(self, client: JoinClient, node: Node, told: Mapping[str, Any], grace: timedelta, stopping: threading.Event, say: Say) -> None:
        """`told` is what the server answered to the one who joined."""
        self._client, self._node, self._grace, self._stopping, self._say = client, node, grace, stopping, say
        self._session, self._token = str(told["session"]), str(told["node_token"])
        self._raylet: psutil.Process | None = None
        self._told_of_drain = False
        self._ask_again = ASK

    def until_left(self) -> Left:
        """Wait for the end. Raises Unavailable when the server never saw this worker."""
        self._await_seen()
        self._raylet = ray_processes.named(ray_processes.marked(self._node.mark), "raylet")
        next_question = time.monotonic()
        while not self._stopping.wait(LOOK):
            if not self._lives():
                return Left.GONE
            if time.monotonic() >= next_question:
                left = self._asked()
                if left is not None:
                    return left
                next_question = time.monotonic() + (LOOK if self._told_of_drain else self._ask_again)
        self._drain()
        return Left.STOPPED

    def _await_seen(self) -> None:
        begun = time.monotonic()
        while not self._stopping.is_set():
            worker = (self._fares() or {}).get("worker")
            if worker is not None and worker.get("state") != WorkerState.STARTING:
                self._say(f"Joined. Work for this group starts here now, {time.monotonic() - begun:.1f} s after its Ray node was up; stop with Ctrl-C")
                return
            if time.monotonic() - begun > SEEN_LIMIT:
                raise Unavailable(f"the server did not see this worker within {SEEN_LIMIT:.0f} s")
            self._stopping.wait(0.2)

    def _lives(self) -> bool:
        try:
            return self._raylet is not None and self._raylet.is_running() and self._raylet.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def _fares(self) -> dict[str, Any] | None:
        """None while nothing can be learned."""
        try:
            return self._client.fares(self._node.mark, self._token)
        except (Unavailable, Refused):
            return None

    def _asked(self) -> Left | None:
        fares = self._fares()
        if fares is None:
            return None
        self._ask_again = float(fares["ask_again"])
        if fares["session"] != self._session:
            return Left.MOVED
        drain = fares.get("drain")
        if drain is None:
            return None
        if not self._told_of_drain:
            self._say(f"Draining: no new work starts here; what runs may go on until {drain['deadline']}")
            self._told_of_drain = True
        return Left.DRAINED if drain["over"] else None

    def _drain(self) -> None:
        """Told to stop: have what runs here end or be handed back, for as long as the grace and a moment more."""
        self._say(f"Draining: no new work starts here; what runs may go on for {self._grace.total_seconds():g} s (a second signal ends it at once)")
        self._told_of_drain = True
        deadline, asked = time.monotonic() + self._grace.total_seconds() + MARGIN, False
        while time.monotonic() < deadline and self._lives():
            try:
                if not asked:
                    self._client.drain(self._node.mark, self._token, self._grace)
                    asked = True
                elif self._asked() is not None:
                    return
            except Refused as err:
                self._say(f"It cannot be drained ({err}): what runs here is lost, and sent elsewhere")
                return
            except Unavailable:
                pass  # asked again: what runs here goes on meanwhile
            threading.Event().wait(LOOK)
