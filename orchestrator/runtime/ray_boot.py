"""Connects to a cluster as a clean driver and sees that the executor and the API are there.

Also a program, `python -m orchestrator.runtime.ray_boot up|down ADDRESS [SETTINGS TOKEN_FILE DASHBOARD]`: a process
that has once been a driver keeps Ray's signal handlers and threads, so those who live long let another be it.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import sys
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator import __version__
from orchestrator.errors import OrchestratorError, Unavailable
from orchestrator.runtime.ray_actors import API, EXECUTOR, NAMESPACE, ApiActor, ExecutorActor

__all__ = ["API", "EXECUTOR", "NAMESPACE", "cluster_address", "connect", "disconnect", "end_actors", "is_there", "start_actors"]

MANY = 10_000  # requests that an asyncio actor holds at once


def connect(address: str) -> None:
    """Join as a driver. Raises Unavailable when nothing answers there."""
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (RayError, ConnectionError, RuntimeError, ValueError, TimeoutError) as err:
        raise Unavailable(f"no Ray cluster answers at {address}: {err}") from err


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


def end_actors() -> None:
    """End every actor of ours on this cluster."""
    for name in list_named_actors():
        try:
            ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
        except (ValueError, RayError):
            continue


def is_there(name: str) -> bool:
    """Whether an actor of ours is known to the cluster."""
    try:
        ray.get_actor(name, namespace=NAMESPACE)
    except ValueError:
        return False
    return True


def join_info(address: str, token_file: str, dashboard: str = "") -> dict[str, Any]:
    """What a machine must know and have to join this cluster."""
    return {
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
