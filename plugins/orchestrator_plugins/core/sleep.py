"""Waiting inside a task."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

from pydantic import Field

from orchestrator.sdk import Duration, Dynamic, Json, RunContext, Task, format_duration


class Sleep(Task):
    """Wait for a length of time, holding a slot of the worker; ends at once when the run is stopped."""

    duration: Dynamic[Duration] = Field(description="How long to wait, as an ISO-8601 duration.", examples=["PT5S"])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        length = ctx.render(self.duration)
        ctx.logger.info(f"Waiting for {format_duration(length)}")
        stopped = Event()
        ctx.on_stop(stopped.set)
        stopped.wait(length.total_seconds())
        return {}
