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


class PurgeLogs(Task):
    """Delete log lines, of executions and of triggers. There is no way back."""

    namespace: Dynamic[Text] | None = Field(None, description="Of this namespace only; without `flowId` also of those below it.")
    flow_id: Dynamic[Text] | None = Field(None, description="Of this flow only.")
    execution_id: Dynamic[Text] | None = Field(None, description="Of this execution only.")
    log_levels: Dynamic[Parsed[Sequence[Level]]] | None = Field(None, description="Only lines of these levels.", examples=[["TRACE", "DEBUG"]])
    start_date: Dynamic[Text] | None = Field(None, description="Only lines of this date-time or after it.")
    end_date: Dynamic[Text] = Field(description="Only lines of this date-time or before it.", examples=["{{ now() | dateAdd(-1, 'MONTHS') }}"])
    purge_execution_logs: Dynamic[bool] = Field(True, description="Whether lines of executions go.")
    purge_non_execution_logs: Dynamic[bool] = Field(True, description="Whether lines of anything else go, such as triggers.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        which = {
            "namespace": ctx.render(self.namespace),
            "flowId": ctx.render(self.flow_id),
            "executionId": ctx.render(self.execution_id),
            "logLevels": [str(getattr(level, "value", level)) for level in ctx.render(self.log_levels) or ()],
            "startDate": ctx.render(self.start_date),
            "endDate": ctx.render(self.end_date),
            "purgeExecutionLogs": ctx.render(self.purge_execution_logs),
            "purgeNonExecutionLogs": ctx.render(self.purge_non_execution_logs),
        }
        gone = ctx.records.purge_logs(which)
        return {"count": gone["executions"] + gone["others"], "executionLogsCount": gone["executions"], "nonExecutionLogsCount": gone["others"]}
