"""An executor over real workers in this process and a real database file, with the calls that tests make of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.model.execution import Execution
from orchestrator.model.state import State
from orchestrator.runtime.assembly import ExecutorParts, started
from orchestrator.runtime.inline_cluster import InlineCluster
from orchestrator.runtime.local_services import LocalServices
from orchestrator.runtime.new_ids import new_id
from orchestrator.settings import Settings
from orchestrator.store.opening import open_store
from orchestrator.store.port import Page
from tests.unit.runtime.house_services import HouseServices


class House:
    """An executor on a database file; a second one on the same file is a restart."""

    def __init__(self, parts: ExecutorParts, cluster: InlineCluster) -> None:
        self.parts, self.cluster = parts, cluster
        self.loop = asyncio.get_running_loop()

    async def call(self, method: str, **request: Any) -> Any:
        return json.loads(await self.parts.intake.call(method, json.dumps(request)))

    async def flow(self, source: str) -> dict[str, str]:
        saved = await self.call("save_flow", source=source, upsert=True)
        assert "error" not in saved, saved
        return {"namespace": saved["flow"]["namespace"], "flow_id": saved["flow"]["id"]}

    async def run(self, source: str, *, wait: bool = True, **more: Any) -> Any:
        return await self.call("create_execution", **await self.flow(source), wait=wait, **more)

    def executions(self) -> list[Execution]:
        """All executions there are, oldest first."""
        found = self.parts.executor.store.executions((), Page(size=1000, sort=(("state.startDate", True),)))
        return list(found.rows)

    async def until_there_are(self, count: int, within: float = 10) -> list[Execution]:
        """All executions once there are so many."""
        async with asyncio.timeout(within):
            while True:
                if len(found := self.executions()) >= count:
                    return found
                await asyncio.sleep(0.02)

    async def shown(self, execution_id: str) -> Any:
        """An execution as it is now."""
        return (await self.call("watch", execution_id=execution_id, version=-1, seconds=0))["execution"]

    async def until(self, execution_id: str, holds: Callable[[Any], bool], within: float = 10) -> Any:
        """The execution once it is as asked."""
        async with asyncio.timeout(within):
            known = -1
            while True:
                told = await self.call("watch", execution_id=execution_id, version=known, seconds=1)
                known = told["version"]
                if told["execution"] is not None and holds(told["execution"]):
                    return told["execution"]

    async def ended(self, execution_id: str, within: float = 10) -> Any:
        """The execution once it has ended."""
        return await self.until(execution_id, lambda e: State(e["state"]["current"]).ended, within)

    async def explained(self, execution_id: str, task: str | None = None) -> list[Any]:
        told = await self.call("explain", execution_id=execution_id, task=task)
        assert "error" not in told, told
        return list(told["explanations"])

    async def until_explained(self, execution_id: str, reason: str, within: float = 10) -> Any:
        """The explanation with that reason, once it is given."""
        async with asyncio.timeout(within):
            while True:
                for one in await self.explained(execution_id):
                    if one["reason"] == reason:
                        return one
                await asyncio.sleep(0.02)

    async def join(self, group: str, slots: int = 8) -> str:
        """One more worker, seen by the executor."""
        name = self.cluster.join(group, slots)
        await self.parts.executor.lookout.look()
        self.parts.executor.post(lambda turn: None)
        return name


@asynccontextmanager
async def house(
    folder: Path,
    *,
    groups: tuple[str, ...] = ("",),
    slots: int = 8,
    machine: Mapping[str, float] | None = None,
    stores_files: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    **settings: Any,
) -> AsyncIterator[House]:
    """With `stores_files` tasks keep their files in the house's store, else each in a memory of its own.

    `settings` are those of the server, such as `worker_groups`; `machine` the resources of every worker's machine.
    """
    own: Future[House] = Future()  # workers may begin before it is there
    store = open_store(f"sqlite:///{folder / 'orchestrator.db'}", migrate=True)
    cluster = InlineCluster(
        base=folder / "work",
        services=lambda dispatch: HouseServices(own.result(10), dispatch) if stores_files else LocalServices(),
        installation=store.installation().id,
        groups=groups,
        slots=slots,
        machine=machine,
    )
    parts = await started(Settings(data=str(folder), **settings), store, cluster, new_id(), clock)
    cluster.reports_to(parts.reports.take)
    try:
        own.set_result(House(parts, cluster))
        yield own.result()
    finally:
        await asyncio.to_thread(cluster.close)
        await parts.executor.close()
