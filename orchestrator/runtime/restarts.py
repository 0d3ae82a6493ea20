"""An ended execution goes on by hand: from what failed, or with another end of a task run, or is said to have ended otherwise."""

from __future__ import annotations

import json

from orchestrator.engine.reopening import Reopened
from orchestrator.engine.replaying import check_revision, copied
from orchestrator.engine.restarting import marked, restarted
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Refused
from orchestrator.model.execution import Execution
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.reading import Reading
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.runtime.turn import Turn


class Restarts:
    """Each answers the execution as it was set, before it went on; both are saved in one transaction."""

    def __init__(self, executor: Executor, executions: Reading) -> None:
        self._executor, self._executions = executor, executions

    async def restart(self, request: ExecutionAction) -> Json:
        """From the failed task runs: the same execution, or with a `revision` a new one of that revision."""
        revision = request.args.get("revision")
        if revision is not None:
            return await self._executor.do(lambda turn: self._restart_anew(turn, request.execution_id, int(revision)))
        return await self._executor.do(lambda turn: self._reopen(turn, restarted(self._executions.view(request.execution_id), turn.now)))

    async def mark(self, request: ExecutionAction) -> Json:
        """A task run has ended in `state`: what hangs on it follows."""
        run_id, state = str(request.args["task_run_id"]), State(request.args["state"])
        return await self._executor.do(lambda turn: self._reopen(turn, marked(self._executions.view(request.execution_id), run_id, state, turn.now)))

    def go_on(self, turn: Turn, execution: Execution) -> None:
        """Let an ended execution go on from its failed task runs. Raises Refused when there are none."""
        self._reopen(turn, restarted(self._executions.view(execution.id), turn.now))

    def _reopen(self, turn: Turn, reopened: Reopened) -> Json:
        execution_id = reopened.execution.id
        saved = self._executions.version(execution_id)
        flow = self._executions.view(execution_id).flow
        if reopened.gone:
            turn.executions_gone.append(execution_id)  # it comes back in this very turn, without those rows
            for run_id in reopened.gone:
                turn.runs.pop(run_id, None)
        execution = reopened.execution.model_copy(update={"version": saved + 1})
        view = ExecutionView(flow, execution, reopened.runs, self._executor.flows.resolve)
        shown = json.loads(view.as_json())
        self._executor.take_up(turn, view, saved)
        return shown

    def _restart_anew(self, turn: Turn, execution_id: str, revision: int) -> Json:
        view = self._executions.view_at(execution_id, revision)
        check_revision(view)
        return begin_copy(self._executor, turn, view, restarted(view, turn.now))

    async def change_status(self, request: ExecutionAction) -> Json:
        """The execution has ended in `status`; nothing runs because of it."""
        status = State(request.args["status"])

        def change(turn: Turn) -> Json:
            before = self._executions.stored(request.execution_id, turn)
            if request.execution_id in self._executor.live or not before.current.ended or not status.ended:
                raise Refused("The execution is not terminated, its status cannot be changed")
            changed = before.model_copy(update={"state": before.state.by_hand(status, turn.now), "version": self._executions.version(before.id) + 1})
            turn.executions[before.id] = changed
            turn.touched[before.id] = None
            runs = self._executor.store.task_runs(before.id)
            view = ExecutionView(self._executions.flow(changed, changed.flow_revision).flow, changed, runs)
            self._executor.scheduler.heard(turn, view, status)
            return json.loads(view.as_json())

        return await self._executor.do(change)


def begin_copy(executor: Executor, turn: Turn, view: ExecutionView, reopened: Reopened, execution_id: str | None = None, **fields: object) -> Json:
    """Make a new execution of one that was set back, and let it go on. The answer is how it began."""
    execution, runs = copied(reopened, execution_id or executor.new_id(), view.flow, executor.new_id)
    made = ExecutionView(view.flow, execution.model_copy(update=fields), runs, executor.flows.resolve)
    shown = json.loads(made.as_json())
    executor.take_up(turn, made, execution.version - 1)
    return shown
