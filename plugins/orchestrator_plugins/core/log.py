"""Writing to the execution's log."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Level, RunContext, Task, Text


class Log(Task):
    """Write one message, or several, to the execution's log."""

    message: Dynamic[Text | tuple[Dynamic[Text], ...]] = Field(description="What to write: text, or a list of texts.", examples=["Hello {{ inputs.name }}"])
    level: Dynamic[Level] = Field(Level.INFO, description="How loud the lines are.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        level = Level(ctx.render(self.level))
        message = ctx.render(self.message)
        for line in (message,) if isinstance(message, str) else message:
            ctx.logger.log(level, str(line))
        return {}
