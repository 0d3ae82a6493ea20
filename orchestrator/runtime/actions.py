"""What may be done to an execution that exists: kill, delete, label ... one function per verb."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from orchestrator.engine.variables import outputs_of
from orchestrator.errors import Conflict, Refused
from orchestrator.model.values import Json, labels_of
from orchestrator.runtime.called import called_ids
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.expressions import Expressions
from orchestrator.runtime.pausing import Pausing
from orchestrator.runtime.queueing import Queueing
from orchestrator.runtime.reading import Reading
from orchestrator.runtime.replays import Replays
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.runtime.restarts import Restarts
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import LogFilter


class Actions:
    """Verbs by name."""

    def __init__(self, executor: Executor) -> None:
        self._executor, self._executions = executor, Reading(executor)
        restarts, replays, expressions = Restarts(executor, self._executions), Replays(executor, self._executions), Expressions(executor, self._executions)
        pausing = Pausing(executor, self._executions)
        queueing = Queueing(executor, self._executions, pausing)
        executor.calling.earlier.reopen = restarts.go_on
        self._verbs: dict[str, Callable[[ExecutionAction], Awaitable[Json]]] = {
            "kill": self._kill,
            "delete": self._delete,
            "labels": self._labels,
            "outputs": self._outputs,
            "called-beside": self._called_beside,
            "restart": restarts.restart,
            "state": restarts.mark,
            "change-status": restarts.change_status,
            "replay": replays.replay,
            "eval": expressions.evaluate,
            "pause": pausing.pause,
            "resume": pausing.resume,
            "resume-inputs": pausing.asked,
            "force-run": queueing.force_run,
            "unqueue": queueing.unqueue,
        }

    async def act(self, request: ExecutionAction) -> Json:
        """Do it; the answer is the verb's own. Raises NotFound for an unknown execution or verb."""
        verb = self._verbs.get(request.verb)
        if verb is None:
            raise Refused(f"`{request.verb}` is not available yet")
        return await verb(request)

    async def _kill(self, request: ExecutionAction) -> Json:
        cascade = request.args.get("cascade") is not False
        if request.execution_id not in self._executor.live:
            ended = self._executions.stored(request.execution_id)
            if not cascade:
                raise Conflict(f"Execution '{ended.id}' has ended, it can't be killed")
        await self._executor.do(lambda turn: self._executor.kill(turn, request.execution_id, cascade=cascade))
        return self._executions.shown(request.execution_id)

    async def _delete(self, request: ExecutionAction) -> Json:
        def delete(turn: Turn) -> None:
            if request.execution_id in self._executor.live:
                raise Conflict(f"Execution '{request.execution_id}' is running: kill it first")
            self._executions.stored(request.execution_id)
            if request.args.get("execution", True):
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
        """Give an ended execution other labels; those of the system stay."""
        given = labels_of(request.args.get("labels"))

        def put(turn: Turn) -> None:
            if request.execution_id in self._executor.live:
                raise Refused("The execution is not terminated")
            before = self._executions.stored(request.execution_id, turn)
            labels = {label.key: label for label in before.labels if label.key.startswith("system.")}
            if any(label.key.startswith("system.") and label.key not in labels for label in given):
                raise Refused("System labels can only be set by Kestra itself")
            labels.update({label.key: label for label in given})
            version = self._executions.version(before.id) + 1
            turn.executions[before.id] = before.model_copy(update={"labels": tuple(labels.values()), "version": version})

        await self._executor.do(put)
        return self._executions.shown(request.execution_id)

    async def _outputs(self, request: ExecutionAction) -> Json:
        return outputs_of(self._executions.view(request.execution_id), str(request.args["task_id"]))

    async def _called_beside(self, request: ExecutionAction) -> Json:
        """For each execution that a task beside a task run has started: the ids it may have, the latest first."""
        view = self._executions.view(request.execution_id)
        run = view.run(str(request.args["task_run_id"]))
        beside = view.counters.at((run.parent_id, run.branch, run.iteration, str(request.args["task_id"]))) if run is not None else None
        caller = view.run(beside) if beside is not None else None
        return [] if caller is None else [called_ids(caller, number) for number in range(int(caller.outputs.get("numberOfBatches", 0)))]
