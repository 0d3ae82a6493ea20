"""The names of our actors, and how one process calls the executor."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.exceptions import RayError

from orchestrator.errors import Unavailable

NAMESPACE = "orchestrator"
EXECUTOR = "executor"
API = "api"
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
