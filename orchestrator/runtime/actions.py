"""What may be done to an execution that exists: kill, delete, label ... one function per verb."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from orchestrator.engine.variables import outputs_of
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.model.execution import Execution
from orchestrator.model.values import Json, labels_of
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import LogFilter


class Actions:
    """Verbs by name."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._verbs: dict[str, Callable[[ExecutionAction], Awaitable[Json]]] = {
            "kill": self._kill,
            "delete": self._delete,
            "labels": self._labels,
            "outputs": self._outputs,
        }

    async def act(self, request: ExecutionAction) -> Json:
        """Do it; the answer is the verb's own. Raises NotFound for an unknown execution or verb."""
        verb = self._verbs.get(request.verb)
        if verb is None:
            raise Refused(f"`{request.verb}` is not available yet")
        return await verb(request)

    def _shown(self, execution_id: str) -> Json:
        live = self._executor.live.get(execution_id)
        shown = live.view.as_json() if live is not None else self._executor.store.execution_json(execution_id)
        if shown is None:
            raise NotFound(f"Execution {execution_id} does not exist")
        return json.loads(shown)

    def _stored(self, execution_id: str) -> Execution:
        found = self._executor.store.execution(execution_id)
        if found is None:
            raise NotFound(f"Execution {execution_id} does not exist")
        return found

    async def _kill(self, request: ExecutionAction) -> Json:
        if request.execution_id not in self._executor.live:
            ended = self._stored(request.execution_id)
            if request.args.get("cascade") is False:
                raise Conflict(f"Execution '{ended.id}' has ended, it can't be killed")
            return self._shown(request.execution_id)
        await self._executor.do(lambda turn: self._executor.kill(turn, request.execution_id))
        return self._shown(request.execution_id)

    async def _delete(self, request: ExecutionAction) -> Json:
        if request.execution_id in self._executor.live:
            raise Conflict(f"Execution '{request.execution_id}' is running: kill it first")
        self._stored(request.execution_id)

        def delete(turn: Turn) -> None:
            turn.executions_gone.append(request.execution_id)
            if request.args.get("logs", True):
                turn.logs_gone.append(LogFilter(execution_id=request.execution_id))
            if request.args.get("metrics", True):
                turn.metrics_gone.append(request.execution_id)
            if request.args.get("storage", True):
                files = self._executor.store.files("execution", request.execution_id)
                turn.files_gone.extend((file.kind, file.owner, file.path) for file in files)

        await self._executor.do(delete)
        return None

    async def _labels(self, request: ExecutionAction) -> Json:
        if request.execution_id in self._executor.live:
            raise Refused("The execution is not terminated")
        before = self._stored(request.execution_id)
        given = labels_of(request.args.get("labels"))
        had = {label.key for label in before.labels}
        if any(label.key.startswith("system.") and label.key not in had for label in given):
            raise Refused("System labels can only be set by Kestra itself")
        merged = {label.key: label for label in (*before.labels, *given)}

        def put(turn: Turn) -> None:
            turn.executions[before.id] = before.model_copy(update={"labels": tuple(merged.values()), "version": before.version + 1})

        await self._executor.do(put)
        return self._shown(request.execution_id)

    async def _outputs(self, request: ExecutionAction) -> Json:
        live = self._executor.live.get(request.execution_id)
        view = live.view if live is not None else self._view(request.execution_id)
        return outputs_of(view, str(request.args["task_id"]))

    def _view(self, execution_id: str) -> ExecutionView:
        execution = self._stored(execution_id)
        saved = self._executor.flows.saved(execution.namespace, execution.flow_id, execution.flow_revision)
        if saved is None:
            raise NotFound(f"the flow of execution {execution_id} is gone")
        return ExecutionView(saved.flow, execution, self._executor.store.task_runs(execution_id), self._executor.flows.resolve)
