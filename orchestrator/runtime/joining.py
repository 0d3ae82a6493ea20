"""`server worker`: joins this machine to a server's cluster as a worker of one group, and stays until told to stop."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import signal
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from orchestrator import __version__
from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, NotAllowed, Refused, ServerUnreachable, Unavailable
from orchestrator.model.worker import resource_of
from orchestrator.runtime import ray_processes
from orchestrator.runtime.ray_processes import GivenUp, Node

Say = Callable[[str], None]
SLOTS_PER_CPU = 8
_RAY = importlib.metadata.version("ray")
AGAIN_AFTER = 2.0  # seconds before a machine whose cluster went away asks to join again
JOIN_LIMIT = 45.0  # seconds until the worker must be seen by the server


class Joined:
    """One machine in one group. Runs in the foreground; a cluster that goes away is joined again when it is back."""

    def __init__(self, *, server: str, api_token: str | None, group: str, slots: int | None, labels: Mapping[str, str], say: Say) -> None:
        self._server, self._token, self._group, self._say = _address(server), api_token, group, say
        self._slots = slots or SLOTS_PER_CPU * (os.cpu_count() or 1)
        self._labels = labels
        self._stopping = threading.Event()
        self._mark = ""

    def run(self) -> None:
        """Join and stay. Raises ServerUnreachable, NotAllowed or Refused when the first join fails."""
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, self._told_to_stop)
        told = self._ask()
        while not self._stopping.is_set():
            with suppress(GivenUp):
                self._stay(told)
            if self._stopping.is_set():
                return
            self._say("The cluster went away: waiting for it to come back")
            found = self._ask_again()
            if found is None:
                return
            told = found

    def _told_to_stop(self, number: int, frame: object) -> None:
        if self._stopping.is_set():
            ray_processes.end(self._mark, within=0.0)
            os._exit(143)
        self._stopping.set()

    def _ask(self) -> dict[str, Any]:
        request = {
            "group": self._group,
            "slots": self._slots,
            "labels": dict(self._labels),
            "versions": {"orchestrator": __version__, "ray": _RAY, "python": platform.python_version()},
        }
        told: dict[str, Any] = self._call("POST", "/api/v1/cluster/join", request)
        for name, mine in (("ray_version", _RAY), ("python_version", platform.python_version())):
            if told.get(name) and told[name] != mine:
                raise Refused(f"this machine has {name.removesuffix('_version')} {mine}, the server has {told[name]}: they must be the same")
        return told

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        request = urllib.request.Request(self._server + path, json.dumps(body).encode() if body is not None else None, headers, method=method)  # noqa: S310 - the user's own server
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as err:
            if err.code in (401, 403):
                given = "this token" if self._token else "anybody without a token"
                raise NotAllowed(f"{self._server} does not accept {given}: give the server's with ORCHESTRATOR_API_TOKEN or --api-token") from err
            raise Refused(_message(err, self._server)) from err
        except (OSError, ValueError, HTTPException) as err:
            why = getattr(err, "reason", None) or err
            raise ServerUnreachable(f"no server answers at {self._server} ({why}): start it, or name the right address with --server") from err

    def _ask_again(self) -> dict[str, Any] | None:
        while not self._stopping.wait(AGAIN_AFTER):
            try:
                return self._ask()
            except (ServerUnreachable, Refused, Unavailable):
                continue
        return None

    def _stay(self, told: dict[str, Any]) -> None:
        folder = Path(tempfile.mkdtemp(prefix="orch-worker-"))
        self._mark = ray_processes.new_mark()
        node = Node(mark=self._mark, address=told["address"], token_file=str(folder / "token"), temp_dir="")
        ray_processes.write_token(Path(node.token_file), told["ray_token"])
        try:
            self._say(f"Joining {told['address']} as a worker of group '{self._group}' with {self._slots} slots")
            ray_processes.start_worker(
                node,
                configuration.environ(),
                resources={resource_of(self._group): self._slots},
                labels={**self._labels, "worker-group": self._group or "default", "orchestrator-node": node.mark},
                extra={"ORCHESTRATOR_WORKER_SERVER": self._server, "ORCHESTRATOR_WORKER_FOLDER": str(folder / "work")},
                given_up=self._stopping.is_set,
            )
            self._await_seen(node)
            raylet = ray_processes.named(ray_processes.marked(node.mark), "raylet")
            while raylet is not None and raylet.is_running() and raylet.status() != psutil.STATUS_ZOMBIE:
                if self._stopping.wait(0.5):
                    self._say("Stopping")
                    return
        finally:
            ray_processes.end(node.mark, within=8.0)
            shutil.rmtree(folder, ignore_errors=True)

    def _await_seen(self, node: Node) -> None:
        limit = threading.Event()
        waited = 0.0
        while waited < JOIN_LIMIT and not self._stopping.is_set():
            try:
                workers = self._call("GET", "/api/v1/workers")
            except (ServerUnreachable, Refused):
                workers = []
            listed = workers.get("workers", workers) if isinstance(workers, dict) else workers
            if any(worker.get("labels", {}).get("orchestrator-node") == node.mark for worker in listed or []):
                self._say("Joined. Work for this group starts here now; stop with Ctrl-C")
                return
            limit.wait(0.2)
            waited += 0.2
        if not self._stopping.is_set():
            raise Unavailable(f"the server did not see this worker within {JOIN_LIMIT:.0f} s")


def _address(server: str) -> str:
    found = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
    if urllib.parse.urlsplit(found).scheme not in ("http", "https") or not urllib.parse.urlsplit(found).hostname:
        raise BadSettings(f"`{server}` is not a server's address: write it as http://HOST:PORT")
    return found


def _message(err: urllib.error.HTTPError, server: str) -> str:
    try:
        return str(json.loads(err.read())["message"])
    except (ValueError, KeyError, TypeError):
        return f"{server} answers {err.code}, not as an orchestrator server: name the right address with --server"


def checked_group(key: str) -> str:
    """A group's key as given on the command line. Raises BadSettings when it is not one."""
    import re

    if key and not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]*", key):
        raise BadSettings(f"`{key}` is not a worker group's key: letters, digits, - and _ only")
    return key
