"""A new execution made of an old one, whole or from one of its task runs on, with its inputs or others."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.engine.replaying import check_revision, cut_at, fresh
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Conflict
from orchestrator.lang import inputs as inputs_of
from orchestrator.model.execution import Execution
from orchestrator.model.file_uri import FileUri, input_path
from orchestrator.model.flow import Flow
from orchestrator.model.values import Json, Label
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.reading import Reading
from orchestrator.runtime.requests import ExecutionAction, FileGiven
from orchestrator.runtime.restarts import begin_copy
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import StoredFile

REPLAY, REPLAYED = "system.replay", "system.replayed"


class Replays:
    """The new execution has the same original, the old one for its parent, and a label that says what it is."""

    def __init__(self, executor: Executor, executions: Reading) -> None:
        self._executor, self._executions = executor, executions

    async def replay(self, request: ExecutionAction) -> Json:
        """Answers the new execution as it began. Inputs that are not given keep their values."""
        return await self._executor.do(lambda turn: self._replay(turn, request))

    def _replay(self, turn: Turn, request: ExecutionAction) -> Json:
        view = self._view(request)
        if view.flow.deleted:
            raise Conflict(f"Flow {view.flow.namespace}.{view.flow.id} is deleted")
        run_id, execution_id = request.args.get("task_run_id"), self._executor.new_id()
        inputs = {**view.execution.inputs, **self._inputs(turn, view.flow, execution_id, request.args)}
        fields = {"inputs": inputs, "labels": with_label(view.execution, REPLAY)}
        if run_id is None:
            shown = self._begin(turn, view, execution_id, fields)
        else:
            check_revision(view)
            shown = begin_copy(self._executor, turn, view, cut_at(view, str(run_id), turn.now), execution_id=execution_id, **fields)
        self._note_on_the_old(turn, request.execution_id)
        return shown

    def _view(self, request: ExecutionAction) -> ExecutionView:
        if request.args.get("latest"):
            return self._executions.view_at(request.execution_id, None)
        revision = request.args.get("revision")
        return self._executions.view(request.execution_id) if revision is None else self._executions.view_at(request.execution_id, int(revision))

    def _begin(self, turn: Turn, view: ExecutionView, execution_id: str, fields: dict[str, Any]) -> Json:
        execution = fresh(view.execution, execution_id, turn.now).model_copy(update=fields)
        shown = json.loads(ExecutionView(view.flow, execution, ()).as_json())
        self._executor.begin(turn, view.flow, execution)
        return shown

    def _inputs(self, turn: Turn, flow: Flow, execution_id: str, args: Any) -> dict[str, Json]:
        """Those given, as the flow declares them."""
        texts, files = args.get("inputs") or {}, {name: FileGiven.model_validate(file) for name, file in (args.get("files") or {}).items()}
        declared = tuple(one for one in flow.inputs if one.id in texts or one.id in files)
        if not declared:
            return {}
        uris = {one.id: _uri(flow, execution_id, one.id, files[one.id]) for one in declared if one.id in files}
        variables = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "vars": dict(flow.variables),
            "execution": {"id": execution_id},
            "globals": dict(self._executor.settings.globals),
            "envs": dict(self._executor.settings.envs),
        }
        given = inputs_of.resolve_declared(
            declared,
            texts,
            {name: str(uri) for name, uri in uris.items()},
            renderer=self._executor.head_renderer,
            variables=variables,
            seal=self._executor.dispatcher.seal,
        )
        for name, uri in uris.items():
            turn.files[("execution", execution_id, uri.path)] = StoredFile(
                kind="execution", owner=execution_id, path=uri.path, size=files[name].size, blob=files[name].blob, created=turn.now, modified=turn.now
            )
        return given

    def _note_on_the_old(self, turn: Turn, execution_id: str) -> None:
        live = self._executor.live.get(execution_id)
        if live is not None:
            self._executor.amend_execution(turn, live, labels=with_label(live.view.execution, REPLAYED))
            return
        old = self._executions.stored(execution_id, turn)
        version = self._executions.version(execution_id) + 1
        turn.executions[execution_id] = old.model_copy(update={"labels": with_label(old, REPLAYED), "version": version})
        turn.touched[execution_id] = None


def _uri(flow: Flow, execution_id: str, name: str, given: FileGiven) -> FileUri:
    return FileUri(namespace=flow.namespace, flow_id=flow.id, execution_id=execution_id, path=input_path(name, given.name))


def with_label(execution: Execution, key: str) -> tuple[Label, ...]:
    """An execution's labels with one more that is true."""
    return (*(label for label in execution.labels if label.key != key), Label(key=key, value="true"))
