"""Small tasks for trying flows out."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Level, RunContext, Task, Template, Text


class Return(Task):
    """Give a rendered text back as the output `value`."""

    format: Dynamic[Text] | None = Field(None, description="The text to give back.", examples=["{{ task.id }} > {{ taskrun.startDate }}"])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        began = time.monotonic()
        value = ctx.render(self.format)
        tags = {"format": self.format.source if isinstance(self.format, Template) else self.format or ""}
        if value is not None:
            ctx.metric("counter", "length", len(value), tags)
        ctx.metric("timer", "duration", time.monotonic() - began, tags)
        return {"value": value}


class Echo(Task):
    """Write a text to the log; `Log` is the newer task for it."""

    format: Dynamic[Text] | None = Field(None, description="The text to write.")
    level: Dynamic[Level] = Field(Level.INFO, description="How loud the line is.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        ctx.logger.log(Level(ctx.render(self.level)), ctx.render(self.format) or "")
        return {}
