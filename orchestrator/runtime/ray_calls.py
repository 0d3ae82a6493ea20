"""The names of our actors, and how one process calls the executor."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError

from orchestrator.errors import Unavailable

NAMESPACE = "orchestrator"
EXECUTOR = "executor"
API = "api"
KNOWN_WITHIN = 2.0  # seconds for the head to say that it knows this node
ANSWER = 30.0  # seconds that a reporter waits for its acknowledgement before it sends again


def executor_handle() -> Any:
    """The executor's actor. Raises Unavailable while there is none."""
    try:
        return ray.get_actor(EXECUTOR, namespace=NAMESPACE)
    except ValueError as err:
        raise Unavailable("there is no executor on this cluster") from err


async def call_executor(method: str, text: str) -> str:
    """The transport of ExecutorClient: waits out a restart of the executor (2 s), for at most 20 s. Requests may be repeated."""
    last: Exception = Unavailable("never asked")
    for _ in range(100):
        try:
            answer: str = await executor_handle().call.remote(method, text)
        except (RayError, Unavailable) as err:
            last = err
            await asyncio.sleep(0.2)
        else:
            return answer
    raise Unavailable(f"the executor does not answer: {type(last).__name__}: {str(last).strip().splitlines()[0] if str(last).strip() else ''}")


def send_to_executor(text: str) -> None:
    """The transport of reporters: returns once saved, raises Unavailable when not."""
    try:
        ray.get(executor_handle().report.remote(text), timeout=ANSWER)
    except (RayError, TimeoutError) as err:
        raise Unavailable("the executor did not acknowledge") from err


def head_knows_this_node() -> bool:
    """Whether the head is in reach and takes this node for alive. Waits at most `KNOWN_WITHIN` seconds.

    Asked of Ray's control store itself: the lookup of a named actor is answered from a cache, and a list of all nodes would
    grow with the cluster. After a restart of the head under another session it does not know us.
    """
    me = ray.NodeID.from_hex(ray.get_runtime_context().get_node_id())
    try:
        found: list[bool] = ray._private.worker.global_worker.gcs_client.check_alive([me], timeout=KNOWN_WITHIN)  # type: ignore[attr-defined]
    except Exception:  # whatever it was, nobody said that we may go on
        return False
    return found == [True]


def beat(place: str) -> None:
    """Tell the executor that a place is there; nobody waits for it to hear."""
    with suppress(RayError, Unavailable):
        executor_handle().beat.remote(place)
