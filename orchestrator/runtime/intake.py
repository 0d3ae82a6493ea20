"""The executor's counter: every request of the server and the command line, answered once its change is saved."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from orchestrator.errors import Conflict, FlowInvalid, InputInvalid, NotFound, OrchestratorError
from orchestrator.lang import flows as language
from orchestrator.lang import inputs as inputs_of
from orchestrator.lang.sealing import Sealer
from orchestrator.model.execution import Execution, Metadata
from orchestrator.model.file_uri import FileUri, input_path
from orchestrator.model.flow import Flow
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.surroundings import KnownGroups, Surroundings
from orchestrator.model.values import Json, Label
from orchestrator.runtime import requests as asked
from orchestrator.runtime.actions import Actions
from orchestrator.runtime.client import failure
from orchestrator.runtime.declaring import Declaring
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.explaining import Explaining
from orchestrator.runtime.fleet import Fleet
from orchestrator.runtime.overview import Overview
from orchestrator.runtime.planning import Grounds, plan_of, standings_of
from orchestrator.runtime.stocktaking import Stocktaking
from orchestrator.runtime.surroundings import surroundings
from orchestrator.runtime.tokens import TokenDesk
from orchestrator.runtime.trigger_actions import TriggerActions
from orchestrator.runtime.turn import Turn
from orchestrator.store.port import KeyValue, LogFilter, SavedFlow, StoredFile

CORRELATION = "system.correlationId"


class Intake:
    """One method per request of `requests`, JSON text in and out."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._actions = Actions(executor)
        overview, rest = Overview(executor), (Explaining(executor), Declaring(executor), TokenDesk(executor), TriggerActions(executor), Stocktaking(executor))
        self._desks: tuple[object, ...] = (self, overview, Fleet(executor, overview), *rest)
        key = executor.settings.encryption_key()
        self._seal: Callable[[str], Json] | None = Sealer(key).seal if key is not None else None

    async def call(self, method: str, text: str) -> str:
        """Answer one request; an error becomes the text that the client raises it from."""
        serve = None if method.startswith("_") or method == "call" else self._served(method)
        try:
            if serve is None:
                raise NotFound(f"no request `{method}`")
            return await serve(text)
        except OrchestratorError as err:
            return failure(err)
        except Exception as err:  # a bug is told as one: passed on, it would look like an executor that is away
            traceback.print_exc()
            return failure(OrchestratorError(f"internal error: {type(err).__name__}: {err}"))

    def _served(self, method: str) -> Callable[[str], Awaitable[str]] | None:
        return next((found for desk in self._desks if (found := getattr(desk, method, None)) is not None), None)

    # --- flows

    async def save_flow(self, text: str) -> str:
        request = asked.SaveFlow.model_validate_json(text)
        flow = self._parsed(request)
        if request.namespace is not None and (flow.namespace, flow.id) != (request.namespace, request.flow_id):
            raise FlowInvalid(f"the flow is {flow.namespace}.{flow.id}, the request says {request.namespace}.{request.flow_id}")
        saved = await self._executor.do(lambda turn: self._save_flow(turn, flow, request))
        return saved.model_dump_json(by_alias=True)

    async def surroundings(self, text: str) -> str:
        return self._surroundings().model_dump_json(by_alias=True)

    def _surroundings(self) -> Surroundings:
        return surroundings(self._executor.groups, self._executor.places.workers())

    def _parsed(self, request: asked.SaveFlow) -> Flow:
        """The flow with the plugin defaults of its namespace and the server merged in. Raises FlowInvalid."""
        around = self._surroundings()
        return language.parse(request.source, around=around.model_copy(update={"groups": KnownGroups()}) if request.was_accepted else around)

    def _save_flow(self, turn: Turn, flow: Flow, request: asked.SaveFlow) -> SavedFlow:
        before = self._executor.store.flow(flow.namespace, flow.id, deleted=True)
        for pending in turn.flows:
            if pending.flow.key == flow.key:
                before = pending
        exists = before is not None and not before.flow.deleted
        if exists and not (request.update or request.upsert):
            raise FlowInvalid("Flow id already exists")
        if not exists and request.update and not request.upsert:
            raise NotFound(f"Flow {flow.namespace}.{flow.id} does not exist")
        if exists and before is not None and before.source == request.source:
            return before
        revision = before.flow.revision + 1 if before is not None else 1
        saved = SavedFlow(flow=flow.model_copy(update={"revision": revision, "deleted": False}), source=request.source, updated=turn.now)
        self._keep_flow(turn, saved, before)
        return saved

    def _keep_flow(self, turn: Turn, saved: SavedFlow, before: SavedFlow | None) -> None:
        turn.flows.append(saved)
        self._executor.scheduler.flow_saved(turn, before.flow if before is not None else None, saved.flow)
        turn.after.append(lambda: self._executor.flows.changed(*saved.flow.key))

    async def plan_flow(self, text: str) -> str:
        request = asked.PlanFlow.model_validate_json(text)
        settings, places = self._executor.settings, self._executor.places
        grounds = Grounds(
            rules=self._executor.groups.rules,
            around=self._surroundings(),
            standings=standings_of(places.workers(), places.queued(), self._executor.scaling.growing()),
            default_runner=settings.default_runner,
            variables={"globals": dict(settings.globals), "envs": dict(settings.envs)},
        )
        plan = await asyncio.to_thread(plan_of, request.source, request.inputs, request.labels, grounds)
        return plan.model_dump_json(by_alias=True, exclude_none=True)

    async def delete_flow(self, text: str) -> str:
        request = asked.DeleteFlow.model_validate_json(text)

        def delete(turn: Turn) -> None:
            saved = self._executor.store.flow(request.namespace, request.flow_id)
            if saved is None:
                raise NotFound(f"Flow {request.namespace}.{request.flow_id} does not exist")
            gone = saved.flow.model_copy(update={"revision": saved.flow.revision + 1, "deleted": True})
            self._keep_flow(turn, SavedFlow(flow=gone, source=saved.source, updated=turn.now), saved)

        await self._executor.do(delete)
        return "{}"

    # --- executions

    async def create_execution(self, text: str) -> str:
        request = asked.CreateExecution.model_validate_json(text)
        saved = self._executor.flows.saved(request.namespace, request.flow_id, request.revision)
        if saved is None or (request.revision is not None and saved.flow.deleted):
            raise NotFound("Requested Flow is not found.")
        if saved.flow.disabled:
            raise Conflict("Requested Flow is disabled")
        execution_id = request.execution_id or self._executor.new_id()
        if execution_id in self._executor.live or (request.execution_id is not None and self._executor.store.execution(execution_id) is not None):
            return await self._ended(execution_id) if request.wait else self._shown(execution_id)  # asked twice under one id: one execution
        files = {name: self._input_file(saved.flow, execution_id, name, given) for name, given in request.files.items()}
        inputs = self._inputs(saved.flow, request, {name: str(uri) for name, uri in files.items()}, execution_id)
        created = await self._executor.do(lambda turn: self._create(turn, saved.flow, execution_id, inputs, files, request))
        return await self._ended(execution_id) if request.wait else created

    def _inputs(self, flow: Flow, request: asked.CreateExecution, files: dict[str, str], execution_id: str) -> dict[str, Json]:
        variables = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "vars": dict(flow.variables),
            "execution": {"id": execution_id},
            "globals": dict(self._executor.settings.globals),
            "envs": dict(self._executor.settings.envs),
            "labels": dict(request.labels),
        }
        if any(key.startswith("system.") and key != CORRELATION for key, _ in request.labels):
            raise InputInvalid(
                "System labels can only be set by Kestra itself, offending label: " + next(k for k, _ in request.labels if k.startswith("system."))
            )
        return inputs_of.resolve(flow, request.inputs, files, renderer=self._executor.head_renderer, variables=variables, seal=self._seal)

    def _input_file(self, flow: Flow, execution_id: str, name: str, given: asked.FileGiven) -> FileUri:
        return FileUri(namespace=flow.namespace, flow_id=flow.id, execution_id=execution_id, path=input_path(name, given.name))

    def _create(self, turn: Turn, flow: Flow, execution_id: str, inputs: dict[str, Json], files: dict[str, FileUri], request: asked.CreateExecution) -> str:
        labels: dict[str, str] = {label.key: label.value for label in flow.labels}
        labels.update(request.labels)
        labels.setdefault(CORRELATION, execution_id)
        execution = Execution(
            id=execution_id,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=inputs,
            labels=tuple(Label(key=key, value=value) for key, value in labels.items()),
            state=Lifecycle.begin(turn.now, State.CREATED),
            original_id=execution_id,
            metadata=Metadata(original_created_date=turn.now),
            schedule_date=request.schedule_date,
            kind=request.kind,
            version=1,
        )
        for name, uri in files.items():
            given = request.files[name]
            turn.files[("execution", execution_id, uri.path)] = StoredFile(
                kind="execution", owner=execution_id, path=uri.path, size=given.size, blob=given.blob, created=turn.now, modified=turn.now
            )
        created = execution.model_dump_json(by_alias=True, exclude_none=True)
        self._executor.begin(turn, flow, execution)
        return created

    def _shown(self, execution_id: str) -> str:
        live = self._executor.live.get(execution_id)
        return live.view.as_json() if live is not None else str(self._executor.store.execution_json(execution_id))

    async def _ended(self, execution_id: str) -> str:
        known = -1
        while True:
            live = self._executor.live.get(execution_id)
            if live is None:
                found = self._executor.store.execution_json(execution_id)
                if found is None:
                    raise NotFound(f"Execution {execution_id} does not exist")
                return found
            if live.view.execution.current is State.PAUSED:
                return live.view.as_json()
            await self._executor.watchers.wait(execution_id, known, 60.0)
            known = self._executor.watchers.news(execution_id)

    async def watch(self, text: str) -> str:
        request = asked.Watch.model_validate_json(text)
        watchers = self._executor.watchers
        live = self._executor.live.get(request.execution_id)
        if live is None and self._executor.store.execution(request.execution_id) is None:
            raise NotFound(f"Execution {request.execution_id} does not exist")
        if live is not None:
            await watchers.wait(request.execution_id, request.version, request.seconds)
            live = self._executor.live.get(request.execution_id)
        news = watchers.news(request.execution_id)
        if live is not None and news == request.version:
            return f'{{"version":{news},"ended":false,"execution":null}}'
        shown = live.view.as_json() if live is not None else self._executor.store.execution_json(request.execution_id)
        return f'{{"version":{news},"ended":{"false" if live is not None else "true"},"execution":{shown}}}'

    async def act(self, text: str) -> str:
        request = asked.ExecutionAction.model_validate_json(text)
        return json.dumps(await self._actions.act(request))

    async def logs_after(self, text: str) -> str:
        request = asked.LogsAfter.model_validate_json(text)
        lines = self._executor.store.logs(LogFilter(execution_id=request.execution_id), after=request.after)
        return "[" + ",".join(f"[{number},{line.model_dump_json(by_alias=True, exclude_none=True)}]" for number, line in lines) + "]"

    # --- keys and files

    async def put_key(self, text: str) -> str:
        request = asked.PutKey.model_validate_json(text)

        def put(turn: Turn) -> None:
            before = self._executor.store.key(request.namespace, request.key)
            before = next((key for key in reversed(turn.keys) if (key.namespace, key.key) == (request.namespace, request.key)), before)
            if not request.overwrite and before is not None and not _over(before, turn.now):
                raise Conflict(f"Cannot set value for key '{request.key}'. Key already exists and `overwrite` is set to `false`.")
            turn.keys.append(
                KeyValue(
                    namespace=request.namespace,
                    key=request.key,
                    value=request.value,
                    description=request.description if request.description is not None else (before.description if before else None),
                    created=before.created if before else turn.now,
                    updated=turn.now,
                    expires=turn.now + timedelta(seconds=request.ttl_seconds) if request.ttl_seconds else None,
                )
            )

        await self._executor.do(put)
        return "{}"

    async def delete_keys(self, text: str) -> str:
        request = asked.DeleteKeys.model_validate_json(text)

        def delete(turn: Turn) -> list[str]:
            kept = {key: self._executor.store.key(request.namespace, key) for key in request.keys}
            there = [key for key, entry in kept.items() if entry is not None and (not request.expired or _over(entry, turn.now))]
            turn.keys_gone.extend((request.namespace, key) for key in there)
            return there

        return json.dumps({"deleted": await self._executor.do(delete)})

    async def put_file(self, text: str) -> str:
        request = asked.PutFile.model_validate_json(text)

        def put(turn: Turn) -> None:
            before = self._executor.store.file(request.kind, request.owner, request.path)
            self._keep_file(turn, request, before.created if before else turn.now)

        await self._executor.do(put)
        return "{}"

    def _keep_file(self, turn: Turn, request: asked.PutFile, created: Any) -> None:
        for folder in _folders_above(request.path) if request.kind == "namespace" else ():
            key = (request.kind, request.owner, folder)
            if key not in turn.files and self._executor.store.file(*key) is None:
                turn.files[key] = StoredFile(
                    kind=request.kind, owner=request.owner, path=folder, size=0, blob="", created=turn.now, modified=turn.now, directory=True
                )
        turn.files[(request.kind, request.owner, request.path)] = StoredFile(**request.model_dump(), created=created, modified=turn.now)

    async def delete_files(self, text: str) -> str:
        request = asked.DeleteFiles.model_validate_json(text)

        def delete(turn: Turn) -> bool:
            gone = [f for f in self._executor.store.files(request.kind, request.owner, request.path)]
            own = self._executor.store.file(request.kind, request.owner, request.path)
            turn.files_gone.extend((f.kind, f.owner, f.path) for f in [*gone, *([own] if own else [])])
            return bool(gone or own)

        return json.dumps({"found": await self._executor.do(delete)})

    async def move_file(self, text: str) -> str:
        request = asked.MoveFile.model_validate_json(text)

        def move(turn: Turn) -> None:
            store = self._executor.store
            own = store.file("namespace", request.namespace, request.source)
            moved = [*([own] if own else []), *store.files("namespace", request.namespace, request.source)]
            if not moved:
                raise NotFound(f"File {request.source} does not exist")
            for file in {f.path: f for f in moved}.values():
                path = request.target + file.path[len(request.source) :]
                turn.files_gone.append((file.kind, file.owner, file.path))
                turn.files[(file.kind, file.owner, path)] = file.model_copy(update={"path": path})

        await self._executor.do(move)
        return "{}"


def _over(entry: KeyValue, now: datetime) -> bool:
    return entry.expires is not None and entry.expires <= now


def _folders_above(path: str) -> list[str]:
    parts = path.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
