"""The four actors of the product, each a thin shell around a class that knows nothing of Ray."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from orchestrator import settings as configuration
from orchestrator.errors import Fenced, Unavailable

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


@ray.remote
class ExecutorActor:
    """One per cluster, restarted for ever; everything it must know is in the store."""

    def __init__(self, settings_path: str) -> None:
        # Views are many small objects without cycles: collecting them at the default pace halves the speed of large loops.
        gc.set_threshold(100_000, 20, 100)
        self._starting = asyncio.get_running_loop().create_task(self._start(settings_path))

    async def _start(self, settings_path: str) -> None:
        from orchestrator.runtime.assembly import executor_parts

        try:
            self._parts = await executor_parts(configuration.saved(Path(settings_path)))
        except Fenced:
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            await asyncio.sleep(1.0)  # a store that is away: let Ray start us again, not in a tight loop
            os._exit(1)
        self._parts.executor.failed.add_done_callback(lambda _: os._exit(1))  # crash-only: the next one starts from the store

    async def call(self, method: str, text: str) -> str:
        await self._starting
        return await self._parts.intake.call(method, text)

    async def report(self, text: str) -> None:
        await self._starting
        await self._parts.reports.take(text)

    async def pid(self) -> int:
        return os.getpid()


@ray.remote
class ApiActor:
    """The HTTP server, on the head."""

    def __init__(self, settings_path: str, join: str) -> None:
        self._settings_path = settings_path
        self._serving = asyncio.get_running_loop().create_task(self._serve(settings_path, join))

    async def _serve(self, settings_path: str, join: str) -> None:
        from orchestrator.runtime.client import ExecutorClient
        from orchestrator.server.assembly import serve_api

        try:
            await serve_api(configuration.saved(Path(settings_path)), ExecutorClient(call_executor), json.loads(join))
        except BaseException:
            import traceback

            traceback.print_exc()
            await asyncio.sleep(0.5)
            os._exit(1)

    async def pid(self) -> int:
        return os.getpid()

    async def settings_path(self) -> str:
        return self._settings_path


async def call_executor(method: str, text: str) -> str:
    """The transport of ExecutorClient: waits out a restart of the executor (2 s), for at most 20 s. Requests may be repeated."""
    for attempt in range(100):
        try:
            answer: str = await executor_handle().call.remote(method, text)
        except (RayError, Unavailable):
            if attempt == 99:
                break
            await asyncio.sleep(0.2)
        else:
            return answer
    raise Unavailable("the executor does not answer")


def send_to_executor(text: str) -> None:
    """The transport of reporters: returns once saved, raises Unavailable when not."""
    try:
        ray.get(executor_handle().report.remote(text), timeout=ANSWER)
    except (RayError, TimeoutError) as err:
        raise Unavailable("the executor did not acknowledge") from err


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
        from orchestrator.runtime.assembly import worker_of

        self._worker = worker_of(json.loads(config), send_to_executor)

    def run(self, dispatch: str) -> None:
        self._worker.run_to_end(dispatch)

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
        from orchestrator.runtime.assembly import supervisor_of

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
