"""Writing to the execution's log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Level, Parsed, RunContext, Task, Text
from orchestrator_plugins.core.rows import folder_of


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


class Fetch(Task):
    """Write the log lines of an execution to a file of the internal storage, one JSON item per line; `size` is their number."""

    execution_id: Dynamic[Text] | None = Field(None, description="Which execution; without it the one that runs.")
    tasks_id: Dynamic[Parsed[Sequence[str]]] | None = Field(None, description="Only the lines of these tasks.")
    level: Dynamic[Level] = Field(Level.INFO, description="The lowest level that is written.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        execution_id = ctx.render(self.execution_id) or ctx.info.execution_id
        size = 0
        with folder_of(ctx) as folder:
            with (folder / "logs").open("w", encoding="utf-8") as out:
                for line in ctx.records.logs(execution_id, min_level=Level(ctx.render(self.level)), task_ids=ctx.render(self.tasks_id) or ()):
                    out.write(json.dumps(line, ensure_ascii=False) + "\n")
                    size += 1
            return {"uri": ctx.files.put(folder / "logs", "logs.ion"), "size": size}
