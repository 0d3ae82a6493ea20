"""A folder that test triggers look into, and flows with such triggers, in an executor house."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from orchestrator import registry
from orchestrator.model.execution import Execution
from orchestrator.model.trigger import TriggerState
from orchestrator.store.port import LogFilter, Page
from tests.unit.runtime.executor_house import House, house

LOOKOUTS = Path(__file__).resolve().parents[2] / "lookouts"
RETURN = "io.kestra.plugin.core.debug.Return"


@contextmanager
def installed(monkeypatch: Any) -> Iterator[None]:
    """The distribution of test triggers, installed for as long as this lasts."""
    monkeypatch.syspath_prepend(str(LOOKOUTS))
    for known in (registry._catalogue, registry.load):
        known.cache_clear()
    yield
    monkeypatch.undo()
    for known in (registry._catalogue, registry.load):
        known.cache_clear()


class Post:
    """One flow with one trigger that looks into a folder; the folder steers it and tells what it did."""

    def __init__(self, house: House, folder: Path, name: str = "f") -> None:
        self.house, self.folder, self.name = house, folder, name
        folder.mkdir(exist_ok=True)

    def source(self, *, kind: str = "Lookout", task: str = f"{{id: a, type: {RETURN}, format: '{{{{ trigger }}}}'}}", flow: str = "", **properties: Any) -> str:
        given = {"interval": "PT0.1S", **properties} if kind == "Lookout" else properties
        lines = "".join(f"\n    {key}: {value}" for key, value in given.items())
        return f"id: {self.name}\nnamespace: house\n{flow}\ntasks:\n  - {task}\ntriggers:\n  - id: t\n    type: test.{kind}\n    folder: {self.folder}{lines}\n"

    async def save(self, **properties: Any) -> None:
        await self.house.flow(self.source(**properties))

    async def delete(self) -> None:
        await self.house.call("delete_flow", namespace="house", flow_id=self.name)

    async def ask(self, verb: str, **more: Any) -> Any:
        name = {"namespace": "house", "flow_id": self.name, "trigger_id": "t"}
        return await self.house.call("act_on_triggers", verb=verb, triggers=[name], **more)

    def worker(self, group: str) -> str:
        """The first worker of a group."""
        return next(name for name, worker in self.house.cluster._workers.items() if worker.group == group)

    async def crash(self, worker: str) -> None:
        """Let a worker of the house die: it says nothing more, and it is told once nothing of it is left."""
        found = self.house.cluster._workers.pop(worker)
        found._reporter.close(0)
        await asyncio.to_thread(found.close)
        self.house.cluster._lost(worker, True)

    async def reason(self) -> Any:
        return await self.house.call("explain_trigger", namespace="house", flow_id=self.name, trigger_id="t")

    # --- the folder

    def put(self, name: str, text: str = "") -> None:
        draft = self.folder / f".{name}"
        draft.write_text(text)
        draft.replace(self.folder / name)

    def take(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def log(self) -> list[tuple[float, str, str]]:
        """(when, begin or end, who) of every evaluation."""
        path = self.folder / "log"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(float(at), word, f"{pid} {mark}") for at, word, pid, mark in lines]

    def begun(self) -> int:
        return sum(word == "begin" for _, word, _ in self.log())

    def at_once(self) -> int:
        """The most evaluations that there were at the same time."""
        present, most = set[str](), 0
        for _, word, who in self.log():
            present.add(who) if word == "begin" else present.discard(who)
            most = max(most, len(present))
        return most

    # --- the store

    def state(self) -> TriggerState | None:
        return next(iter(self.house.parts.executor.store.triggers("house", self.name)), None)

    def executions(self) -> list[Execution]:
        """Oldest first."""
        found = self.house.parts.executor.store.executions((), Page(size=1000)).rows
        return [execution for execution in reversed(found) if execution.flow_id == self.name]

    def started_with(self, name: str) -> list[Any]:
        """That variable of the trigger of every execution."""
        return [execution.trigger.variables[name] for execution in self.executions() if execution.trigger is not None]

    def lines(self) -> list[tuple[str, str]]:
        lines = self.house.parts.executor.store.logs(LogFilter(namespace="house", flow_id=self.name, trigger_id="t"))
        return [(line.level.value, line.message) for _, line in lines]

    async def until(self, holds: Callable[[], Any], within: float = 10) -> Any:
        async with asyncio.timeout(within):
            while not (found := holds()):  # noqa: ASYNC110 - files and rows bring no news
                await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def post(folder: Path, **more: Any) -> AsyncIterator[Post]:
    async with house(folder, **more) as own:
        yield Post(own, folder / "post")


def run(check: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(check())  # type: ignore[arg-type]
