"""What runs where: workers, groups, what waits for them and since when, and what was counted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import timedelta

from orchestrator.model.values import Json, format_instant
from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.runtime.executor import Executor


class Overview:
    """Reads the executor's memory; changes nothing."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def cluster(self, text: str) -> str:
        """{"workers": [WorkerInfo], "groups": [...], "queued": {group: count}, "executor": {...}, "meters": {...}}."""
        executor = self._executor
        workers = [self._seen(worker) for worker in executor.places.workers()]
        return json.dumps(
            {
                "workers": [worker.model_dump(mode="json", by_alias=True, exclude_none=True) for worker in workers],
                "groups": self._groups(workers),
                "queued": executor.places.queued(),
                "executor": {"ready": executor.ready, "executions": len(executor.live)},
                "meters": executor.meters.as_json(),
            }
        )

    def _seen(self, worker: WorkerInfo) -> WorkerInfo:
        last = self._executor.lookout.presence.last(worker.name)
        if last is None:
            return worker
        return worker.model_copy(update={"seen": self._executor.clock() - timedelta(seconds=time.monotonic() - last)})

    def _groups(self, workers: Iterable[WorkerInfo]) -> list[Json]:
        """Every group that is declared, has a worker, or has work waiting; the default group (key "") first."""
        places, declared = self._executor.places, self._executor.groups.declared
        queued = places.queued()
        by_group: dict[str, list[WorkerInfo]] = {key: [] for key in (*declared, *queued)}
        for worker in workers:
            by_group.setdefault(worker.group, []).append(worker)
        return [self._group(key, by_group[key], queued.get(key, 0)) for key in sorted(by_group)]

    def _group(self, key: str, workers: list[WorkerInfo], queued: int) -> Json:
        places, groups = self._executor.places, self._executor.groups
        up = [worker for worker in workers if worker.state is WorkerState.UP]
        oldest = places.oldest_wait(key)
        declaration = groups.declared.get(key)
        growth = self._executor.scaling.growth(key)
        return {
            "key": key,
            "declared": declaration.model_dump(mode="json", by_alias=True, exclude_none=True) if declaration is not None else None,
            "tags": sorted(places.tags(key)),
            "workers": [worker.name for worker in workers],
            "states": {state.value: count for state in WorkerState if (count := sum(worker.state is state for worker in workers))},
            "slots": sum(worker.slots for worker in up),
            "used": sum(worker.used for worker in up),
            "queued": queued,
            "oldestWait": format_instant(oldest) if oldest is not None else None,
            "scaling": growth.model_dump(mode="json", exclude_none=True) if growth is not None else None,
        }
