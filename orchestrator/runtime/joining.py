"""`server worker`: joins this machine to a server's cluster as a worker of one group, and stays until told to stop or drained.

It ends with 0 when it was told to stop or was drained, and raises (exit code 2) for whatever the one who started it must change.
A cluster that goes away, or comes back elsewhere, is joined again for as long as it takes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, Unavailable
from orchestrator.model.resources import parse_size
from orchestrator.model.worker import OF_NODE, OF_TOKEN, resource_of
from orchestrator.model.worker_group import is_group_key
from orchestrator.runtime import ray_processes
from orchestrator.runtime.join_client import JoinClient
from orchestrator.runtime.ray_processes import GivenUp, Node
from orchestrator.runtime.stay import Left, Say, Stay

SLOTS_PER_CPU = 8
FIRST_TRIES = 3
AGAIN_AFTER = 2.0  # seconds before a machine whose cluster went away asks to join again
_WORD = "[a-zA-Z0-9](?:[a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?"
_LABEL_KEY, _LABEL_VALUE = re.compile(f"(?:{_WORD}/)?{_WORD}"), re.compile(f"(?:{_WORD})?")


class NotUp(Unavailable):
    """The server would have this machine, and no Ray node of it comes up: nothing that was asked is wrong, and a later try may do."""


@dataclass(frozen=True)
class Joining:
    """What a machine joins with."""

    group: str
    slots: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, float] = field(default_factory=dict)  # CPU, GPU, memory offered to runs with `resources`; default: all there is
    create: bool = False
    grace: timedelta = timedelta(minutes=5)
    wait: timedelta = timedelta()  # for a server that does not answer yet


class Joined:
    """One machine in one group. Runs in the foreground."""

    def __init__(self, client: JoinClient, joining: Joining, say: Say) -> None:
        self._client, self._joining, self._say = client, joining, say
        self._slots = joining.slots or SLOTS_PER_CPU * (os.cpu_count() or 1)
        self._stopping = threading.Event()
        self._mark = ""
        self._folder: Path | None = None  # of the node: the cluster's token, working directories

    def run(self) -> None:
        """Join and stay. Raises Refused for a definite no at any time, ServerUnreachable or Unavailable when the server does not
        answer the first time, NotUp when no node of this machine comes up."""
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, self._told_to_stop)
        told = self._ask(until=time.monotonic() + self._joining.wait.total_seconds())
        left = self._stay_first(told)
        while left in (Left.GONE, Left.MOVED) and not self._stopping.is_set():
            self._say("The cluster went away: waiting for it to come back" if left is Left.GONE else "The server has another cluster now: joining that one")
            told = self._ask(until=float("inf"))
            left = self._stay_again(told) if told is not None else Left.STOPPED
        self._say("Drained: this worker has left. It joins again when it is started again" if left is Left.DRAINED else "Stopped")

    def _told_to_stop(self, number: int, frame: object) -> None:
        if self._stopping.is_set():
            ray_processes.end(self._mark, within=0.0)
            self._remove_folder()
            os._exit(128 + number)
        self._stopping.set()

    def _ask(self, *, until: float) -> dict[str, Any] | None:
        """What the server says to one who joins; None when told to stop meanwhile. Raises Refused, and Unavailable once it is `until`."""
        joining = self._joining
        while not self._stopping.is_set():
            try:
                return self._client.join(group=joining.group, slots=self._slots, labels=joining.labels, create=joining.create)
            except Unavailable:
                if time.monotonic() >= until:
                    raise
                self._stopping.wait(AGAIN_AFTER)
        return None

    def _stay_first(self, told: dict[str, Any] | None) -> Left:
        """As `_stay`, tried a few times: Ray gives a node half a minute to come up, which a busy machine may not keep. Raises NotUp."""
        for tries_left in reversed(range(FIRST_TRIES)):
            if told is None:
                break
            try:
                return self._stay(told)
            except Unavailable as err:
                if tries_left == 0:
                    raise NotUp(str(err)) from err
                self._say(f"{err}; trying again")
            self._stopping.wait(AGAIN_AFTER)
            told = self._ask(until=time.monotonic())
        return Left.STOPPED

    def _stay_again(self, told: dict[str, Any]) -> Left:
        """As `_stay`; a cluster that went away in the middle of it is waited for again."""
        try:
            return self._stay(told)
        except Unavailable as err:
            self._say(str(err))
            self._stopping.wait(AGAIN_AFTER)
            return Left.GONE

    def _stay(self, told: dict[str, Any]) -> Left:
        folder = self._folder = Path(tempfile.mkdtemp(prefix="orch-worker-"))
        self._mark = told["mark"]
        node = Node(mark=self._mark, address=told["address"], token_file=str(folder / "token"), temp_dir="")
        ray_processes.write_token(Path(node.token_file), told["ray_token"])
        left = Left.STOPPED
        try:
            self._start(node, told, folder)
            left = Stay(self._client, node, told, self._joining.grace, self._stopping, self._say).until_left()
        except GivenUp:
            return Left.STOPPED
        finally:
            ray_processes.end(node.mark, within=2.0 if left is Left.MOVED else 8.0)
            self._remove_folder()
        return left

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, node: Node, told: dict[str, Any], folder: Path) -> None:
        group = self._joining.group
        self._say(f"Joining {told['address']} as a worker of {f'group {group!r}' if group else 'the default group'} with {self._slots} slots")
        own = {"worker-group": group or "default", OF_NODE: node.mark, **({OF_TOKEN: told["token"]} if told.get("token") else {})}
        ray_processes.start_worker(
            node,
            configuration.environ(),
            resources={resource_of(group): self._slots, **self._joining.machine},
            labels={**self._joining.labels, **own},
            extra={"ORCHESTRATOR_WORKER_SERVER": self._client.url, "ORCHESTRATOR_WORKER_FOLDER": str(folder / "work")},
            given_up=self._stopping.is_set,
        )


def checked_group(key: str) -> str:
    """A group's key as given on the command line. Raises BadSettings when it is not one."""
    if key and not is_group_key(key):
        raise BadSettings(f"`{key}` is not a worker group's key: letters, digits, - and _ only, a letter or digit first")
    return key


def checked_machine(cpus: int | None, gpus: int | None, memory: str | None) -> dict[str, float]:
    """What of the machine is offered to runs with `resources`, as given on the command line; what is not given is all of it.
    Raises BadSettings for a size that is none."""
    try:
        size = float(parse_size(memory)) if memory is not None else None
    except ValueError as err:
        raise BadSettings(f"--memory: {err}") from err
    given = {"CPU": cpus, "GPU": gpus, "memory": size}
    return {name: value for name, value in given.items() if value is not None}


def checked_labels(given: Iterable[str]) -> dict[str, str]:
    """Labels as given on the command line. Raises BadSettings for one that Ray would not take, or that is ours."""
    labels = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise BadSettings(f"--label takes KEY=VALUE, not `{text}`")
        if key == "worker-group" or key.startswith(("orchestrator-", "ray.io/")):
            raise BadSettings(f"--label `{key}` is not yours to set: labels worker-group, orchestrator-... and ray.io/... are made here")
        if not (_LABEL_KEY.fullmatch(key) and _LABEL_VALUE.fullmatch(value)):
            raise BadSettings(
                f"--label `{text}` holds what a label may not: at most 63 letters, digits, - _ and . on either side, a letter or digit at each end"
            )
        labels[key] = value
    return labels
