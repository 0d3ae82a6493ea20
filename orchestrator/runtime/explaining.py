"""Answers "why does it not run": gathers what is known of an execution's runs and lets the engine word it."""

from __future__ import annotations

import json

from orchestrator.engine.explaining import (
    InLine,
    explain_called,
    explain_dated,
    explain_failed,
    explain_leader,
    explain_line,
    explain_paused,
    explain_queued,
    explain_run,
    explain_waiting,
)
from orchestrator.errors import NotFound
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.log import Level
from orchestrator.model.reason import Explanation
from orchestrator.model.state import State
from orchestrator.runtime import requests as asked
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.live import Live
from orchestrator.store.port import LogFilter

MOST_FAILED, MOST_LINES = 5, 5  # failed runs told of, and the last lines of each


class Explaining:
    """Reads the executor's memory; changes nothing."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def explain(self, text: str) -> str:
        """Every reason why an execution (with `task`: its runs of that task or task run) is not running. Raises NotFound."""
        request = asked.Explain.model_validate_json(text)
        live = self._executor.live.get(request.execution_id)
        execution = live.view.execution if live is not None else self._executor.store.execution(request.execution_id)
        if execution is None:
            raise NotFound(f"Execution {request.execution_id} does not exist")
        found = self._of_live(live, request.task) if live is not None else self._of_ended(execution, request.task)
        shown = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in found]
        return json.dumps({"executionId": execution.id, "state": execution.current.value, "explanations": shown})

    def _of_live(self, live: Live, task: str | None) -> list[Explanation]:
        execution = live.view.execution
        if execution.current is State.QUEUED:
            return [self._of_queued(live)]
        if execution.current is State.CREATED and execution.schedule_date is not None:
            return [explain_dated(execution)]
        runs = [run for run in live.view.active() if _meant(run, task)]
        if task is not None and not runs:
            return self._of_ended_runs([run for run in live.view.runs if _meant(run, task)], task)
        waits = [run for run in runs if run.state.current is State.PAUSED or not live.view.counters.active(run.id)]
        if runs and not waits:
            return [explain_leader(run, live.view.below(run.id)) for run in runs]
        found = [one for run in waits if (one := self._of_run(live, run)) is not None]
        held = execution.current is State.PAUSED and not live.view.counters.paused
        return [explain_paused(execution), *found] if held else found

    def _of_queued(self, live: Live) -> Explanation:
        limit = live.view.flow.concurrency
        running, ahead = self._executor.slots.standing(live.view.flow, live.view.execution.id)
        return explain_queued(live.view.execution, limit.limit if limit is not None else 0, running, ahead)

    def _of_run(self, live: Live, run: TaskRun) -> Explanation | None:
        executor = self._executor
        if run.state.current is State.PAUSED:
            return explain_waiting(run, live.view.lead(run).wait)
        if run.state.current is not State.KILLING and (going := executor.calling.going(run)):
            return explain_called(run, going)
        queued, target = executor.placing.queued(run.id), executor.places.target_of(run.id)
        if queued is None or target is None or run.state.current is State.KILLING:
            return explain_run(run, executor.places.state_of(run.placement.worker if run.placement else None), executor.clock())
        line = InLine(
            queued,
            executor.placing.standing(target, run.namespace),
            reserved=executor.places.is_reserved_from(target, run.namespace),
            ahead=executor.places.ahead_of(run.id),
            barred=executor.placing.barred(live, run, queued),
            growths=executor.scaling.growths(target),
        )
        return explain_line(run, line, executor.clock())

    def _of_ended(self, execution: Execution, task: str | None) -> list[Explanation]:
        return self._of_ended_runs([run for run in self._executor.store.task_runs(execution.id) if _meant(run, task)], task)

    def _of_ended_runs(self, runs: list[TaskRun], task: str | None) -> list[Explanation]:
        if task is not None and not runs:
            raise NotFound(f"The execution has no task run of `{task}`")
        leaders = {run.parent_id for run in runs}
        failed = [run for run in runs if run.state.current in (State.FAILED, State.CANCELLED) and run.id not in leaders]
        return [explain_failed(run, self._last_words(run)) for run in failed[:MOST_FAILED]]

    def _last_words(self, run: TaskRun) -> list[str]:
        lines = self._executor.store.logs(LogFilter(execution_id=run.execution_id, task_run_id=run.id, min_level=Level.INFO))
        return [line.message for _, line in lines[-MOST_LINES:]]


def _meant(run: TaskRun, task: str | None) -> bool:
    return task is None or task in (run.task_id, run.id)
