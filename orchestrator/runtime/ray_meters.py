"""What is counted, on Ray's own metrics pages."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge, Histogram

from orchestrator.runtime.executor import Executor
from orchestrator.runtime.meters import BOUNDS

EVERY = 5.0  # seconds; Ray collects every ten


class RayMeters:
    """Copies an executor's counts into Ray's metrics, `orchestrator_*` there as well."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._counts = {
            "dispatch_latency": Histogram(
                "orchestrator_dispatch_latency_seconds", "From ready to the task's code.", boundaries=list(BOUNDS), tag_keys=("group",)
            ),
            "sent_again": Counter("orchestrator_sent_again", "Task runs sent again.", tag_keys=("group", "cause")),
            "passed_over": Counter("orchestrator_passed_over", "Places that did not take a task run.", tag_keys=("place", "reason")),
        }
        names = ("slots", "slots_used", "queued", "workers")
        self._gauges = {name: Gauge(f"orchestrator_{name}", f"{name.replace('_', ' ')} by worker group", tag_keys=("group",)) for name in names}
        executor.meters.told = self._told

    def _told(self, name: str, value: float, tags: Mapping[str, str]) -> None:
        meter: Any = self._counts[name]
        (meter.observe if isinstance(meter, Histogram) else meter.inc)(value, tags=dict(tags))

    async def go_on(self) -> None:
        """Until cancelled."""
        while True:
            self._set()
            await asyncio.sleep(EVERY)

    def _set(self) -> None:
        places = self._executor.places
        workers, queued = places.workers(), places.queued()
        for group in {worker.group for worker in workers} | set(queued) | set(self._executor.groups.declared):
            own = [worker for worker in workers if worker.group == group]
            values = {"slots": sum(one.slots for one in own), "slots_used": sum(one.used for one in own), "queued": queued.get(group, 0), "workers": len(own)}
            for name, value in values.items():
                self._gauges[name].set(value, tags={"group": group or "default"})
