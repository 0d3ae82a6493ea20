"""The reaper: what is out there under our labels is held against the store, and what nobody owns is removed.

What is there is looked at first, and who lives afterwards; removed is only what was there and had no owner. A job's name is saved
before the job is made, so one that begins meanwhile is never taken for a leftover.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.engine.runs import dispatched
from orchestrator.errors import OrchestratorError
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import TaskRun
from orchestrator.model.stock import Stock, StockAsk, Stocked, Trouble
from orchestrator.model.worker import WorkerState
from orchestrator.runtime.known_backends import KnownBackends
from orchestrator.sdk import RunInfo, job_key

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor

NOBODY_YET = 0.5  # seconds between looks for a worker that can be asked


class Reaping:
    """Asks each machine once, and every back end that belongs to none once."""

    def __init__(self, executor: Executor, known: KnownBackends, installation: str) -> None:
        self._executor, self.known, self._installation = executor, known, installation
        self._orphans: dict[str, datetime] = {}  # by job key: when it was first seen without an owner

    async def go_on(self) -> None:
        """Look at once, as soon as there is a worker, and again and again; soon again while something may be about to go."""
        while True:
            pause = await self._looked() if self._asked() else NOBODY_YET
            await asyncio.sleep(pause)

    async def _looked(self) -> float:
        """Look once; how many seconds later to look again."""
        grace, every = self._executor.settings.reap_grace.total_seconds(), self._executor.settings.reap_every.total_seconds()
        try:
            self._executor.post(self.known.forget_old)
            await self.tidy()
        except Exception:  # a bug here must not end the executor, nor the reaper
            traceback.print_exc()
        return min(grace + NOBODY_YET, every) if self._orphans else every

    async def tidy(self) -> Sequence[str]:
        """Remove what has had no owner for as long as the grace; the keys of what was removed."""
        seen = await self.look()
        now, orphans = self._executor.clock(), self.orphans(seen)
        self._orphans = {key: self._orphans.get(key, now) for key in orphans}
        due = {key for key, since in self._orphans.items() if now - since >= self._executor.settings.reap_grace}
        return (await self.remove(due)).removed if due else ()

    async def look(self) -> Stock:
        """What is there, everywhere."""
        return await self._ask(frozenset())

    async def remove(self, keys: Set[str]) -> Stock:
        """Have everything removed that bears these keys and is not to be kept."""
        return await self._ask(keys)

    def orphans(self, seen: Stock) -> set[str]:
        """The job keys of what was seen, is not to be kept, and belongs to no live run."""
        owners = self.owners()
        keys = {one.found.key for one in seen.stocked if one.found.key and not one.found.keep} | set(seen.folders)
        kept = {one.found.key for one in seen.stocked if one.found.keep}
        return {key for key in keys - kept if key not in owners}

    def owners(self) -> Mapping[str, TaskRun]:
        """The live runs by the keys of their jobs."""
        owners: dict[str, TaskRun] = {}
        for live in self._executor.live.values():
            for run in live.view.active():
                if dispatched(run):
                    owners[self._key(run)] = run
                    if run.job is not None:
                        owners[run.job.key] = run
        return owners

    def _key(self, run: TaskRun) -> str:
        return job_key(
            RunInfo.model_construct(
                installation=self._installation,
                namespace=run.namespace,
                flow_id=run.flow_id,
                flow_revision=0,
                execution_id=run.execution_id,
                attempt=0,
                task_id=run.task_id,
                task_run_id=run.id,
                generation=run.generation,
            )
        )

    # --- asking

    def _asked(self) -> dict[str, str]:
        """One worker of each machine that is up, and its group."""
        by_node = {worker.node_id: worker for worker in reversed(self._executor.places.workers()) if worker.state is WorkerState.UP}
        return {worker.name: worker.group for worker in by_node.values()}

    async def _ask(self, doomed: Set[str]) -> Stock:
        asked = self._asked()
        told = self.known.asks(list(dict.fromkeys(asked.values())), self._executor.clock())
        first = {group: name for name, group in reversed(asked.items())}
        answers = (self._answer(name, told[group] if first[group] == name and group in told else (), doomed) for name, group in asked.items())
        return _together(await asyncio.gather(*answers))

    async def _answer(self, worker: str, known: tuple[Dispatch, ...], doomed: Set[str]) -> Stock:
        try:
            return await self._executor.cluster.stock(worker, StockAsk(known=known, doomed=tuple(sorted(doomed))))
        except OrchestratorError as err:
            return Stock(troubles=(Trouble(backend=worker, message=str(err)),))


def _together(stocks: Sequence[Stock]) -> Stock:
    """Several answers as one: two nodes of one machine see the same things."""
    stocked = {(one.runner, one.found.kind, one.found.name): one for stock in stocks for one in stock.stocked}
    removed = dict.fromkeys(key for stock in stocks for key in stock.removed)
    folders = dict.fromkeys(key for stock in stocks for key in stock.folders)
    return Stock(
        stocked=tuple(stocked.values()), folders=tuple(folders), removed=tuple(removed), troubles=tuple(one for stock in stocks for one in stock.troubles)
    )


def ownership(one: Stocked, owners: Mapping[str, TaskRun]) -> str:
    """Whose it is: `kept` on its author's word, `running` or `adopted` (watched from elsewhere since it was made), `orphaned`."""
    if one.found.keep:
        return "kept"
    run = owners.get(one.found.key)
    if run is None:
        return "orphaned"
    made_under = run.job.details.get("lease") if run.job is not None else None
    return "adopted" if made_under is not None and run.lease > int(made_under) else "running"
