"""An unfinished execution in the executor's memory."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engine.view import ExecutionView
from orchestrator.model.log import Level, LogLine
from orchestrator.runtime.turn import Turn


@dataclass
class Live:
    """An unfinished execution in memory; `saved` is its version in the store."""

    view: ExecutionView
    saved: int
    at_work: bool = False  # a place has begun something of it
    outlives: bool = False  # the store knows that something runs after its end


def say(turn: Turn, live: Live, level: Level, message: str, task_run_id: str | None = None) -> None:
    """A log line of the engine's own."""
    execution = live.view.execution
    run = live.view.run(task_run_id) if task_run_id is not None else None
    turn.logs.append(
        LogLine(
            namespace=execution.namespace,
            flow_id=execution.flow_id,
            execution_id=execution.id,
            task_id=run.task_id if run else None,
            task_run_id=task_run_id,
            attempt_number=max(0, len(run.attempts) - 1) if run else None,
            timestamp=turn.now,
            level=level,
            message=message,
        )
    )
    turn.touched[execution.id] = None
