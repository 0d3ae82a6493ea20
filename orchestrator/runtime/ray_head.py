"""The actors of the head: thin shells around the executor and the HTTP server, restarted by Ray for ever."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from pathlib import Path

import ray

from orchestrator import settings as configuration
from orchestrator.errors import Fenced
from orchestrator.runtime.ray_calls import call_executor


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
        from orchestrator.runtime.ray_meters import RayMeters

        self._meters = asyncio.get_running_loop().create_task(RayMeters(self._parts.executor).go_on())
        self._parts.executor.failed.add_done_callback(lambda _: os._exit(1))  # crash-only: the next one starts from the store

    async def call(self, method: str, text: str) -> str:
        await self._starting
        return await self._parts.intake.call(method, text)

    async def report(self, text: str) -> None:
        await self._starting
        await self._parts.reports.take(text)

    async def beat(self, place: str) -> None:
        await self._starting
        self._parts.executor.heard(place)

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
