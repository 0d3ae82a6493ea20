"""Connects to a cluster as a clean driver and sees that the executor and the API are there.

Also a program, `python -m orchestrator.runtime.ray_boot up|down ADDRESS [SETTINGS TOKEN_FILE DASHBOARD]`: a process
that has once been a driver keeps Ray's signal handlers and threads, so those who live long let another be it.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator import __version__
from orchestrator.errors import OrchestratorError, Unavailable
from orchestrator.runtime.ports import answers
from orchestrator.runtime.ray_calls import API, EXECUTOR, NAMESPACE
from orchestrator.runtime.ray_head import ApiActor, ExecutorActor

__all__ = [
    "API",
    "EXECUTOR",
    "NAMESPACE",
    "cluster_address",
    "connect",
    "disconnect",
    "end_actors",
    "is_there",
    "join_info",
    "settings_in_force",
    "start_actors",
]

MANY = 10_000  # requests that an asyncio actor holds at once
KEY = "this is its head node's address, and that RAY_AUTH_TOKEN_PATH names the file with its token, if it has one"
ALIVE = 45.0  # seconds for a new actor to answer: its process starts, and loads Ray and us
GONE = 5.0  # seconds for killed actors to be gone


def connect(address: str) -> None:
    """Join as a driver. Raises Unavailable when nothing answers there."""
    if not answers(address):  # Ray itself would try for half a minute, and tell it in twenty lines
        raise Unavailable(f"no Ray cluster answers at {address}; see that its head node runs and that this machine reaches it")
    with tempfile.TemporaryFile() as said, _stderr_to(said.fileno()):
        try:
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except (RayError, ConnectionError, RuntimeError, ValueError, TimeoutError) as err:
            said.seek(0)
            why = "it has another token" if b"InvalidAuthToken" in said.read() else _cause(err)
            raise Unavailable(f"the Ray cluster at {address} does not let us in ({why}); see that {KEY}") from err


@contextmanager
def _stderr_to(file: int) -> Iterator[None]:
    """Have what Ray's own libraries write to file descriptor 2 go elsewhere: they tell the same thing every second."""
    sys.stderr.flush()
    before = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)


def disconnect() -> None:
    ray.shutdown()


def start_actors(settings_path: Path, join: dict[str, Any]) -> None:
    """Make the executor and the API, detached and on this node, unless they are there already."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    common = {
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": 0,
        "get_if_exists": True,
        "max_concurrency": MANY,
    }
    ExecutorActor.options(name=EXECUTOR, scheduling_strategy=here, **common).remote(str(settings_path))  # type: ignore[attr-defined]
    ApiActor.options(name=API, scheduling_strategy=here, **common).remote(str(settings_path), json.dumps(join))  # type: ignore[attr-defined]


def cluster_address() -> str:
    """host:port of the cluster's GCS, as other machines reach it."""
    return str(ray.get_runtime_context().gcs_address)


def settings_in_force() -> Path | None:
    """The file of the settings that the API was made with, or None where there is no API.

    Waits for one that is being made. Raises Unavailable with the cause when it cannot live.
    """
    try:
        api = ray.get_actor(API, namespace=NAMESPACE)
    except ValueError:
        return None
    try:
        answer: Any = ray.get(api.settings_path.remote(), timeout=ALIVE)
    except (RayError, TimeoutError) as err:
        raise Unavailable(f"the API does not live on this cluster: {_cause(err)}") from err
    return Path(str(answer))


def _cause(err: Exception) -> str:
    """The last line of what Ray tells in many, colours taken out."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", str(err)).splitlines() if line.strip()]
    return lines[-1] if lines else type(err).__name__


def end_actors() -> None:
    """End every actor of ours on this cluster, the executor first so that it makes none again, and see them gone."""
    deadline = time.monotonic() + GONE
    while (names := sorted(list_named_actors(), key=lambda name: name != EXECUTOR)) and time.monotonic() < deadline:
        for name in names:
            try:
                ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
            except (ValueError, RayError):
                continue
        time.sleep(0.1)


def is_there(name: str) -> bool:
    """Whether an actor of ours is known to the cluster."""
    try:
        ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return False
    return True


def join_info(address: str, token_file: str, dashboard: str = "") -> dict[str, Any]:
    """What a machine must know and have to join this cluster. `session` is another for every cluster that there is, whatever its address."""
    return {
        "session": str(ray.get_runtime_context().get_node_id()),
        "address": address,
        "token_file": token_file,
        "dashboard": dashboard,
        "server_version": __version__,
        "ray_version": importlib.metadata.version("ray"),
        "python_version": platform.python_version(),
    }


def main(arguments: list[str]) -> int:
    """0 when done; 2 with one line on stderr when not."""
    verb, address, *rest = arguments
    try:
        connect(address)
        if verb == "up":
            start_actors(Path(rest[0]), join_info(cluster_address(), *rest[1:]))
        else:
            end_actors()
        disconnect()
    except OrchestratorError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
