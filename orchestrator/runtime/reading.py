"""Executions as they are now: in memory while they live, from the store once they have ended."""

from __future__ import annotations

import json

from orchestrator.engine.view import ExecutionView
from orchestrator.errors import NotFound
from orchestrator.model.execution import Execution
from orchestrator.model.values import Json
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import SavedFlow


class Reading:
    """All raise NotFound for what does not exist."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def shown(self, execution_id: str) -> Json:
        """The execution with its task runs, as the REST API shows it."""
        live = self._executor.live.get(execution_id)
        shown = live.view.as_json() if live is not None else self._executor.store.execution_json(execution_id)
        if shown is None:
            raise NotFound(f"Execution {execution_id} does not exist")
        return json.loads(shown)

    def stored(self, execution_id: str, turn: Turn | None = None) -> Execution:
        """The execution as saved, or as `turn` is about to save it."""
        found = (turn.executions.get(execution_id) if turn is not None else None) or self._executor.store.execution(execution_id)
        if found is None:
            raise NotFound(f"Execution {execution_id} does not exist")
        return found

    def version(self, execution_id: str) -> int:
        """The version that is saved: a turn may be ahead of it."""
        live = self._executor.live.get(execution_id)
        return live.saved if live is not None else self.stored(execution_id).version

    def view(self, execution_id: str) -> ExecutionView:
        """The execution with its task runs and its flow."""
        live = self._executor.live.get(execution_id)
        if live is not None:
            return live.view
        execution = self.stored(execution_id)
        saved = self.flow(execution, execution.flow_revision)
        return ExecutionView(saved.flow, execution, self._executor.store.task_runs(execution_id), self._executor.flows.resolve)

    def flow(self, execution: Execution, revision: int | None) -> SavedFlow:
        """A revision of the execution's flow; None: the newest."""
        saved = self._executor.flows.saved(execution.namespace, execution.flow_id, revision)
        if saved is None:
            raise NotFound(f"Flow {execution.namespace}.{execution.flow_id} has no revision {revision if revision is not None else 'any more'}")
        return saved

    def view_at(self, execution_id: str, revision: int | None) -> ExecutionView:
        """The execution as one of another revision of its flow; None: the newest."""
        view = self.view(execution_id)
        saved = self.flow(view.execution, revision)
        if saved.flow.revision == view.execution.flow_revision:
            return view
        execution = view.execution.model_copy(update={"flow_revision": saved.flow.revision})
        return ExecutionView(saved.flow, execution, view.runs, self._executor.flows.resolve)
