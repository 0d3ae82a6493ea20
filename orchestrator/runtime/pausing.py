"""Executions that are paused, and go on: with the values that a Pause asks for on resume."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.engine.events import PauseAsked, ResumeAsked
from orchestrator.errors import Conflict, Refused
from orchestrator.lang import inputs as inputs_of
from orchestrator.model.execution import TaskRun
from orchestrator.model.file_uri import FileUri, task_path
from orchestrator.model.flow import Input
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.live import Live
from orchestrator.runtime.reading import Reading
from orchestrator.runtime.requests import ExecutionAction, FileGiven
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import StoredFile


class Pausing:
    """Each answers the execution as it is afterwards."""

    def __init__(self, executor: Executor, executions: Reading) -> None:
        self._executor, self._executions = executor, executions

    async def pause(self, request: ExecutionAction) -> Json:
        """Let nothing new of it begin. Raises Refused unless it is RUNNING."""

        def pause(turn: Turn) -> None:
            live = self._executor.live.get(request.execution_id)
            if live is None or live.view.execution.current is not State.RUNNING:
                self._executions.stored(request.execution_id, turn)
                raise Refused("The execution is not running")
            self._executor.step(turn, live, PauseAsked())

        await self._executor.do(pause)
        return self._executions.shown(request.execution_id)

    async def resume(self, request: ExecutionAction) -> Json:
        """Let the first run that waits go on, or all of what a person has paused.

        Raises Conflict unless it is PAUSED, InputInvalid for values that do not fit what is asked for.
        """
        await self._executor.do(lambda turn: self.go_on(turn, self._paused(turn, request.execution_id), request.args))
        return self._executions.shown(request.execution_id)

    async def asked(self, request: ExecutionAction) -> Json:
        """The inputs that are asked for on resume, as declared."""

        def asked(turn: Turn) -> list[Json]:
            live = self._paused(turn, request.execution_id)
            run = _waiting(live)
            return [dict(one.raw) for one in _inputs(live, run)] if run is not None else []

        return {"inputs": await self._executor.do(asked)}

    def _paused(self, turn: Turn, execution_id: str) -> Live:
        live = self._executor.live.get(execution_id)
        if live is None or live.view.execution.current is not State.PAUSED:
            self._executions.stored(execution_id, turn)
            raise Conflict(f"Execution '{execution_id}' is not paused, can't resume it")
        return live

    def go_on(self, turn: Turn, live: Live, args: Mapping[str, Json]) -> None:
        """Resume what is paused, with `inputs` and `files` as a person gave them."""
        run = _waiting(live)
        values = self._values(turn, live, run, args) if run is not None else {}
        self._executor.step(turn, live, ResumeAsked(run.id if run is not None else None, values))

    def _values(self, turn: Turn, live: Live, run: TaskRun, args: Mapping[str, Json]) -> dict[str, Json]:
        declared = _inputs(live, run)
        if not declared:
            return {}
        files = {name: FileGiven.model_validate(file) for name, file in (args.get("files") or {}).items()}
        kept = {one.id: files[one.id] for one in declared if one.id in files}
        uris = {name: _uri(run, name, file) for name, file in kept.items()}
        values = inputs_of.resolve_declared(
            declared,
            args.get("inputs") or {},
            {name: str(uri) for name, uri in uris.items()},
            renderer=self._executor.head_renderer,
            variables=self._executor.dispatcher.head_context(live.view, run, [one.raw for one in declared]),
            seal=self._executor.dispatcher.seal,
        )
        for name, uri in uris.items():
            turn.files["execution", run.execution_id, uri.path] = StoredFile(
                kind="execution", owner=run.execution_id, path=uri.path, size=kept[name].size, blob=kept[name].blob, created=turn.now, modified=turn.now
            )
        return values


def _waiting(live: Live) -> TaskRun | None:
    """The run that has waited longest to be resumed; None where a person has paused the execution."""
    return next((run for run in live.view.active() if run.state.current is State.PAUSED), None)


def _inputs(live: Live, run: TaskRun) -> tuple[Input, ...]:
    wait = live.view.lead(run).wait
    return wait.inputs if wait is not None else ()


def _uri(run: TaskRun, name: str, given: FileGiven) -> FileUri:
    """A place of the run's own: the flow may have an input of the same name."""
    path = task_path(run.task_id, run.id, f"{name}-{given.name}")
    return FileUri(namespace=run.namespace, flow_id=run.flow_id, execution_id=run.execution_id, path=path)
