"""The executions that a run has started before: after a restart of the server, or when the run itself begins again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Refused
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.state import State
from orchestrator.runtime.called import called_ids
from orchestrator.runtime.turn import Turn

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor


class EarlierCalls:
    """`reopen` sets a failed execution back and lets it go on; it raises Refused when nothing in it can begin again."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.reopen: Callable[[Turn, Execution], None] | None = None

    def latest(self, run: TaskRun, number: int, turn: Turn) -> Execution | None:
        """The latest execution of a call; None when it was never started."""
        for execution_id in called_ids(run, number):
            live = self._executor.live.get(execution_id)
            found = live.view.execution if live is not None else turn.executions.get(execution_id) or self._executor.store.execution(execution_id)
            if found is not None:
                return found
        return None

    def view(self, execution: Execution) -> ExecutionView | None:
        """The execution with its task runs; None when its flow is gone."""
        live = self._executor.live.get(execution.id)
        if live is not None:
            return live.view
        saved = self._executor.flows.saved(execution.namespace, execution.flow_id, execution.flow_revision)
        return ExecutionView(saved.flow, execution, self._executor.store.task_runs(execution.id), self._executor.flows.resolve) if saved else None

    def goes_on(self, execution: Execution, turn: Turn) -> bool:
        """Set a void execution back; whether it goes on. One that failed without any task run cannot."""
        try:
            if self.reopen is not None:
                self.reopen(turn, execution)
        except Refused:
            return False
        return self.reopen is not None

    @staticmethod
    def is_void(run: TaskRun, execution: Execution) -> bool:
        """Whether an execution failed before the run began again: it does not count any more."""
        return execution.current.ended and execution.current.failed and execution.state.last < _began_again(run)


def _began_again(run: TaskRun) -> datetime:
    """When the run was last set back to its beginning."""
    return next((entry.date for entry in reversed(run.state.histories) if entry.state is State.RESTARTED), run.state.start)
