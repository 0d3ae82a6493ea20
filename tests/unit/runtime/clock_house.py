"""A clock that tests set, an executor that dies at a commit of their choice, and what its executions and triggers are then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.errors import StoreUnavailable
from orchestrator.model.execution import Execution
from orchestrator.model.trigger import TriggerState
from orchestrator.store.port import Changes, LogFilter, Page
from tests.unit.runtime.executor_house import House, house

ZERO = datetime(2024, 5, 6, 12, 0, 30, tzinfo=UTC)  # a Monday
RETURN = "{id: a, type: io.kestra.plugin.core.debug.Return, format: '{{ trigger.date }}'}"


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = ZERO

    def __call__(self) -> datetime:
        return self.now


class Hour:
    """A house by a clock."""

    def __init__(self, own: House, clock: Clock) -> None:
        self.house, self.clock, self.executor = own, clock, own.parts.executor

    async def save(self, trigger: str, *, name: str = "f", task: str = RETURN, more: str = "") -> None:
        await self.house.flow(f"id: {name}\nnamespace: house\n{more}\ntasks:\n  - {task}\ntriggers:\n  - {trigger}\n")

    def minutes(self, count: float) -> None:
        """The clock goes on, or back, and is looked at."""
        self.clock.now += timedelta(minutes=count)
        self.executor.scheduler.stir()

    def die_at(self, commit: int, *, saved: bool) -> None:
        """The executor is gone right before, or right after, that commit from now on: nothing of what follows it is done."""
        store, real, left = self.executor.store, self.executor.store.commit, [commit]

        def commit_or_die(changes: Changes) -> None:
            left[0] -= 1
            if left[0] > 0:
                return real(changes)
            if left[0] == 0 and saved:
                real(changes)
            raise StoreUnavailable("killed")

        store.commit = commit_or_die  # type: ignore[method-assign]  # a store that is killed has no other way

    async def until(self, holds: Callable[[], Any], within: float = 10) -> Any:
        async with asyncio.timeout(within):
            while not (found := holds()):  # noqa: ASYNC110 - rows bring no news
                await asyncio.sleep(0.01)
        return found

    async def settled(self) -> None:
        """Once the executor has nothing to do, or is dead."""
        await self.until(lambda: self.dead or (not self.executor.live and not self.executor._inbox))

    @property
    def dead(self) -> bool:
        return self.executor.failed.done()

    def executions(self, name: str = "f") -> list[Execution]:
        """Oldest first."""
        found = self.executor.store.executions((), Page(size=1000)).rows
        return sorted((one for one in found if one.flow_id == name), key=lambda one: (one.state.start, one.id))

    def dates(self, name: str = "f") -> list[str]:
        """The hour and minute of each date that started something, in order."""
        found = sorted(str(one.trigger.variables["date"]) for one in self.executions(name) if one.trigger is not None)
        return [text[11:16] for text in found]

    def state(self, name: str = "f") -> TriggerState:
        return next(iter(self.executor.store.triggers("house", name)))

    def lines(self, name: str = "f") -> list[str]:
        return [line.message for _, line in self.executor.store.logs(LogFilter(namespace="house", flow_id=name, trigger_id="t"))]

    async def ask(self, verb: str) -> Any:
        return await self.house.call("act_on_triggers", verb=verb, triggers=[{"namespace": "house", "flow_id": "f", "trigger_id": "t"}])

    async def reason(self, name: str = "f") -> Any:
        return await self.house.call("explain_trigger", namespace="house", flow_id=name, trigger_id="t")


@asynccontextmanager
async def hour(folder: Path, clock: Clock | None = None) -> AsyncIterator[Hour]:
    clock = clock or Clock()
    async with house(folder, clock=clock) as own:
        yield Hour(own, clock)
