"""The executor over real workers in this process and a real store: what a turn saves, sends, and takes up again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from orchestrator.runtime.assembly import ExecutorParts, started
from orchestrator.runtime.inline_cluster import InlineCluster
from orchestrator.runtime.local_services import LocalServices
from orchestrator.runtime.new_ids import new_id
from orchestrator.settings import Settings
from orchestrator.store.opening import open_store

RETURN = "io.kestra.plugin.core.debug.Return"
SLEEP = "io.kestra.plugin.core.flow.Sleep"


class House:
    """An executor on a database file; a second one on the same file is a restart."""

    def __init__(self, parts: ExecutorParts, cluster: InlineCluster) -> None:
        self.parts, self.cluster = parts, cluster

    async def call(self, method: str, **request: Any) -> Any:
        return json.loads(await self.parts.intake.call(method, json.dumps(request)))

    async def flow(self, source: str) -> dict[str, str]:
        saved = await self.call("save_flow", source=source)
        assert "error" not in saved, saved
        return {"namespace": saved["flow"]["namespace"], "flow_id": saved["flow"]["id"]}

    async def run(self, source: str, *, wait: bool = True, **more: Any) -> Any:
        return await self.call("create_execution", **await self.flow(source), wait=wait, **more)

    async def until(self, execution_id: str, holds: Callable[[Any], bool], within: float = 10) -> Any:
        """The execution once it is as asked."""
        async with asyncio.timeout(within):
            known = -1
            while True:
                told = await self.call("watch", execution_id=execution_id, version=known, seconds=1)
                known = told["version"]
                if told["execution"] is not None and holds(told["execution"]):
                    return told["execution"]


@asynccontextmanager
async def house(folder: Path, *, groups: tuple[str, ...] = ("",), slots: int = 8) -> AsyncIterator[House]:
    store = open_store(f"sqlite:///{folder / 'orchestrator.db'}", migrate=True)
    cluster = InlineCluster(base=folder / "work", services=lambda dispatch: LocalServices(), installation=store.installation().id, groups=groups, slots=slots)
    parts = await started(Settings(data=str(folder)), store, cluster, new_id())
    cluster.reports_to(parts.reports.take)
    try:
        yield House(parts, cluster)
    finally:
        await asyncio.to_thread(cluster.close)
        await parts.executor.close()


def _flow(tasks: str, name: str = "f") -> str:
    return f"id: {name}\nnamespace: house\ntasks:\n{tasks}"


def _state(execution: Any) -> str:
    return str(execution["state"]["current"])


def test_tasks_in_sequence_end_with_their_outputs(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            done = await own.run(_flow(f"  - {{id: a, type: {RETURN}, format: one}}\n  - {{id: b, type: {RETURN}, format: '{{{{ outputs.a.value }}}} two'}}\n"))
            assert _state(done) == "SUCCESS"
            assert [run["outputs"]["value"] for run in done["taskRunList"]] == ["one", "one two"]
            assert [step["state"] for step in done["state"]["histories"]] == ["CREATED", "RUNNING", "SUCCESS"]

    asyncio.run(check())


def test_an_execution_asked_for_twice_under_one_id_is_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            source = _flow(f"  - {{id: a, type: {RETURN}, format: one}}\n")
            first = await own.run(source, execution_id="same")
            again = await own.call("create_execution", namespace="house", flow_id="f", execution_id="same", wait=True)
            assert first["id"] == again["id"] == "same"
            assert len(again["taskRunList"]) == 1

    asyncio.run(check())


def test_a_run_waits_for_a_slot_and_is_killed_where_it_waits(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, slots=1) as own:
            source = _flow(f"  - {{id: s, type: {SLEEP}, duration: PT30S}}\n")
            first, second = await own.run(source, wait=False), await own.run(source.replace("id: f", "id: g"), wait=False)
            await own.until(first["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
            assert own.parts.executor.places.queued() == {"": 1}
            await own.call("act", execution_id=second["id"], verb="kill")
            assert _state(await own.until(second["id"], lambda e: _state(e) == "KILLED")) == "KILLED"
            await own.call("act", execution_id=first["id"], verb="kill")
            await own.until(first["id"], lambda e: _state(e) == "KILLED")
            assert own.parts.executor.store.commands() == [] or not list(own.parts.executor.store.commands())

    asyncio.run(check())


def test_what_a_lost_worker_held_is_sent_again_under_a_new_lease(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("", "other")) as own:
            source = _flow(f"  - {{id: s, type: {SLEEP}, duration: PT1S, workerGroup: {{key: other}}}}\n")
            begun = await own.run(source, wait=False)
            await own.until(begun["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
            own.cluster.lose("worker:other:inline")
            again = await own.until(begun["id"], lambda e: e["taskRunList"][0]["lease"] == 2)
            assert again["taskRunList"][0]["generation"] == 0
            assert own.parts.executor.places.queued() == {"other": 1}, "it waits for a worker of its group"

    asyncio.run(check())


def test_an_executor_started_again_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    async def check() -> None:
        source = _flow(f"  - {{id: s, type: {SLEEP}, duration: PT0.5S}}\n  - {{id: b, type: {RETURN}, format: done}}\n")
        async with house(tmp_path) as first:
            begun = await first.run(source, wait=False)
            await first.until(begun["id"], lambda e: e["taskRunList"][0]["state"]["current"] == "RUNNING")
        async with house(tmp_path) as second:
            done = await second.until(begun["id"], lambda e: _state(e) == "SUCCESS")
            assert [run["taskId"] for run in done["taskRunList"]] == ["s", "b"]
            assert done["taskRunList"][0]["lease"] == 2, "nothing held it any more, so it was sent again"

    asyncio.run(check())


def test_a_second_executor_on_the_same_store_fences_the_first(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as first, house(tmp_path) as second:
            refused = await first.call("save_flow", source=_flow(f"  - {{id: a, type: {RETURN}}}\n"))
            assert refused["error"]["code"] == "unavailable"
            assert first.parts.executor.failed.done()
            first.parts.executor.failed.exception()
            assert _state(await second.run(_flow(f"  - {{id: a, type: {RETURN}}}\n"))) == "SUCCESS"

    asyncio.run(check())


def test_a_flow_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with house(tmp_path) as own:
            refused = await own.call("save_flow", source="id: x\nnamespace: house\ntasks:\n  - {id: a, type: no.such.Type}\n")
            assert refused["error"]["code"] == "flow-invalid"
            assert "Invalid type: no.such.Type" in refused["error"]["message"]
            assert own.parts.executor.store.flow("house", "x") is None

    asyncio.run(check())
