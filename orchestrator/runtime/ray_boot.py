"""Connects to a cluster as a clean driver and sees that the executor and the API are there."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import Unavailable
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
    common = {"namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0, "max_restarts": -1, "max_task_retries": 0, "get_if_exists": True, "max_concurrency": MANY}
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
