"""An executor's peer in one process: takes the real requests, keeps everything in the real store in memory, runs nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from api_desks import Desks

from orchestrator.errors import Conflict, FlowInvalid, InputInvalid, NotFound, OrchestratorError
from orchestrator.lang.source import parse_yaml
from orchestrator.model.execution import Execution
from orchestrator.model.file_uri import FileUri, input_path
from orchestrator.model.flow import Flow
from orchestrator.model.log import LogLine
from orchestrator.model.plan import FlowPlan, PlannedTask
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.surroundings import Surroundings
from orchestrator.model.values import Label, labels_of
from orchestrator.runtime.client import ExecutorClient, failure
from orchestrator.runtime.requests import DeleteLogs
from orchestrator.settings import Settings
from orchestrator.store.memory import MemoryStore
from orchestrator.store.port import Changes, KeyValue, SavedFlow, StoredFile


class StandIn:
    """`call` is the transport of an ExecutorClient."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.store = MemoryStore()
        self.store.take_ownership("stand-in", self.now())
        self.numbers = count(1)
        self.asked: list[tuple[str, Any]] = []
        self.workers: list[dict[str, Any]] = [{"name": "w1", "group": "", "nodeId": "n", "slots": 8, "state": "up"}]
        self.around = Surroundings()
        self.asks: list[dict[str, Any]] = []  # the inputs that a paused execution asks for
        self.news = asyncio.Event()
        self.watchers = 0
        self._counted = asyncio.Event()
        self.client = ExecutorClient(self.call)
        self.desks = Desks(self.store, settings or Settings(), self.on_cluster, lambda: self.workers)

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def call(self, method: str, text: str) -> str:
        body = json.loads(text)
        self.asked.append((method, body))
        try:
            serve = getattr(self, "on_" + method, None)
            if serve is None:
                return await self.desks.call(method, text)
            answer = serve(body)
            return json.dumps(await answer if asyncio.iscoroutine(answer) else answer) if not isinstance(answer, str) else answer
        except OrchestratorError as err:
            return failure(err)

    def on_save_flow(self, body: dict[str, Any]) -> str:
        try:
            value = parse_yaml(body["source"])
            flow = Flow.model_validate(value)
        except ValueError as err:
            raise FlowInvalid(f"tasks: {err}", ({"message": "bad", "path": "tasks", "line": 3, "column": 1},)) from err
        if body["namespace"] is not None and (flow.namespace, flow.id) != (body["namespace"], body["flow_id"]):
            raise FlowInvalid("id: Illegal flow id update")
        before = self.store.revisions(flow.namespace, flow.id)
        if body["update"] and (not before or before[-1].flow.deleted):
            raise NotFound(f"Flow {flow.namespace}.{flow.id} does not exist")
        if before and not before[-1].flow.deleted and not body["update"]:
            raise Conflict("the flow exists")
        if before and before[-1].source == body["source"] and not before[-1].flow.deleted:
            return before[-1].model_dump_json(by_alias=True)
        saved = SavedFlow(flow=flow.model_copy(update={"revision": len(before) + 1}), source=body["source"], updated=self.now())
        self.store.commit(Changes(flows=[saved]))
        return saved.model_dump_json(by_alias=True)

    def on_surroundings(self, body: dict[str, Any]) -> str:
        return self.around.model_dump_json(by_alias=True)

    def on_plan_flow(self, body: dict[str, Any]) -> str:
        if "broken" in body["source"]:
            raise FlowInvalid("tasks: bad", ({"code": "bad", "message": "bad", "path": "tasks", "line": 3, "column": 1},))
        return FlowPlan(
            namespace="io.acme", id="hello", live=True, tasks=(PlannedTask(id="t", type="x.Y", because=json.dumps(body["inputs"])),)
        ).model_dump_json(by_alias=True)

    def on_delete_flow(self, body: dict[str, Any]) -> Any:
        saved = self._flow(body["namespace"], body["flow_id"])
        gone = saved.flow.model_copy(update={"revision": saved.flow.revision + 1, "deleted": True})
        self.store.commit(Changes(flows=[saved.model_copy(update={"flow": gone})]))
        return {}

    def _flow(self, namespace: str, flow_id: str) -> SavedFlow:
        if (saved := self.store.flow(namespace, flow_id)) is None:
            raise NotFound("Requested Flow is not found.")
        return saved

    def on_create_execution(self, body: dict[str, Any]) -> str:
        flow = self._flow(body["namespace"], body["flow_id"]).flow
        if flow.disabled:
            raise Conflict("Cannot execute disabled flow")
        id = body.get("execution_id") or f"made{next(self.numbers)}"
        inputs, files = dict(body["inputs"]), []
        for spec in flow.inputs:
            if spec.id in body["files"]:
                given = body["files"][spec.id]
                path = input_path(spec.id, given["name"])
                inputs[spec.id] = str(FileUri(namespace=flow.namespace, flow_id=flow.id, execution_id=id, path=path))
                files.append(StoredFile(kind="execution", owner=id, path=path, size=given["size"], blob=given["blob"], created=self.now(), modified=self.now()))
            elif spec.id not in inputs and spec.required and not spec.has_defaults:
                raise InputInvalid(f"{spec.id}: Invalid input for `{spec.id}`, missing required input, but received `null`")
        state = Lifecycle.begin(self.now())
        if body["wait"]:
            state = state.to(State.RUNNING, self.now()).to(State.SUCCESS, self.now())
        execution = Execution(
            id=id,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=inputs,
            labels=(*(Label(key=k, value=v) for k, v in body["labels"]), Label(key="system.correlationId", value=id)),
            state=state,
        )
        self.store.commit(Changes(executions=[execution], files=files))
        return self.store.execution_json(id) or ""

    def on_explain(self, body: dict[str, Any]) -> Any:
        execution = self._execution(body["execution_id"])
        return {"executionId": execution.id, "state": execution.current.value, "explanations": []}

    def on_act_on_triggers(self, body: dict[str, Any]) -> Any:
        kept = {(state.namespace, state.flow_id, state.trigger_id): state for state in self.store.triggers()}
        names = [(name["namespace"], name["flow_id"], name["trigger_id"]) for name in body["triggers"]]
        if body["strict"] and (missing := [name for name in names if name not in kept]):
            raise NotFound(f"Flow of trigger {missing[0][2]} not found")
        return {"changed": [kept[name].model_dump(mode="json", by_alias=True) for name in names if name in kept]}

    def on_act(self, body: dict[str, Any]) -> Any:
        execution = self._execution(body["execution_id"])
        match body["verb"]:
            case "kill":
                self.move(execution.id, State.KILLING, State.KILLED)
            case "delete":
                self.store.commit(Changes(executions_gone=[execution.id]))
            case "outputs":
                return {"value": body["args"]["task_id"]}
            case "labels":
                new = execution.model_copy(update={"labels": labels_of(body["args"]["labels"]), "version": execution.version + 1})
                self.store.commit(Changes(executions=[new]))
            case "replay":
                return {"id": json.loads(self.on_create_execution({**_START, "namespace": execution.namespace, "flow_id": execution.flow_id}))["id"]}
            case "pause":
                if execution.current is not State.RUNNING:
                    from orchestrator.errors import Refused

                    raise Refused("The execution is not running")
                self.move(execution.id, State.PAUSED)
            case "resume" | "resume-inputs":
                if execution.current is not State.PAUSED:
                    raise Conflict(f"Execution '{execution.id}' is not paused, can't resume it")
                if body["verb"] == "resume-inputs":
                    return {"inputs": self.asks}
                if "no" in body["args"]["inputs"].values():
                    raise InputInvalid("approved: Invalid input for `approved`, it must be true or false, but received `no`")
                self.move(execution.id, State.RUNNING)
        return {}

    def _execution(self, id: str) -> Execution:
        if (found := self.store.execution(id)) is None:
            raise NotFound(f"no execution `{id}`")
        return found

    def move(self, id: str, *states: State) -> None:
        """Carry an execution on, and wake who watches it."""
        for state in states:
            found = self._execution(id)
            self.store.commit(Changes(executions=[found.model_copy(update={"state": found.state.to(state, self.now()), "version": found.version + 1})]))
        self.wake()

    def say(self, id: str, *messages: str) -> None:
        """Write log lines of an execution."""
        found = self._execution(id)
        lines = [
            LogLine(
                namespace=found.namespace, flow_id=found.flow_id, execution_id=id, task_id="t", timestamp=self.now(), level=message.split()[0], message=message
            )
            for message in messages
        ]
        self.store.commit(Changes(logs=lines))
        self.wake()

    def wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def _watching(self, more: int) -> None:
        self.watchers += more
        self._counted.set()
        self._counted = asyncio.Event()

    async def watched_by(self, count: int) -> None:
        """Return once so many wait for news. Raises TimeoutError after ten seconds."""
        async with asyncio.timeout(10):
            while self.watchers != count:
                await self._counted.wait()

    async def on_watch(self, body: dict[str, Any]) -> Any:
        found = self._execution(body["execution_id"])
        if found.version <= body["version"] and not found.current.ended:
            self._watching(1)
            try:
                await asyncio.wait_for(self.news.wait(), body["seconds"])
            except TimeoutError:
                pass
            finally:
                self._watching(-1)
            found = self._execution(body["execution_id"])
        fresh = found.version > body["version"]
        return {
            "version": found.version,
            "ended": found.current.ended,
            "execution": json.loads(self.store.execution_json(found.id) or "null") if fresh else None,
        }

    def on_delete_logs(self, body: dict[str, Any]) -> Any:
        self.store.commit(Changes(logs_gone=[DeleteLogs.model_validate(body).which]))
        return {}

    def on_put_key(self, body: dict[str, Any]) -> Any:
        ttl = body["ttl_seconds"]
        entry = KeyValue(
            namespace=body["namespace"],
            key=body["key"],
            value=body["value"],
            description=body["description"],
            created=self.now(),
            updated=self.now(),
            expires=None if ttl is None else self.now() + timedelta(seconds=ttl),
        )
        self.store.commit(Changes(keys=[entry]))
        return {}

    def on_delete_keys(self, body: dict[str, Any]) -> Any:
        there = [key for key in body["keys"] if self.store.key(body["namespace"], key)]
        self.store.commit(Changes(keys_gone=[(body["namespace"], key) for key in there]))
        return {"deleted": there}

    def on_put_file(self, body: dict[str, Any]) -> Any:
        parents = body["path"].split("/")[1:-1]
        made = [self._file(body | {"path": "/" + "/".join(parents[: n + 1]), "size": 0, "blob": "", "directory": True}) for n in range(len(parents))]
        self.store.commit(Changes(files=[*made, self._file(body)]))
        return {}

    def _file(self, body: dict[str, Any]) -> StoredFile:
        return StoredFile(**{k: body[k] for k in ("kind", "owner", "path", "size", "blob", "directory")}, created=self.now(), modified=self.now())

    def on_delete_files(self, body: dict[str, Any]) -> Any:
        below = [f.path for f in self.store.files(body["kind"], body["owner"], body["path"])]
        found = self.store.file(body["kind"], body["owner"], body["path"])
        gone = [(body["kind"], body["owner"], path) for path in [body["path"], *below]]
        self.store.commit(Changes(files_gone=gone))
        return {"found": bool(below or found)}

    def on_move_file(self, body: dict[str, Any]) -> Any:
        found = self.store.file("namespace", body["namespace"], body["source"])
        if found is None:
            raise NotFound(f"no file {body['source']}")
        self.store.commit(Changes(files_gone=[("namespace", body["namespace"], body["source"])], files=[found.model_copy(update={"path": body["target"]})]))
        return {}

    def on_cluster(self, body: dict[str, Any]) -> Any:
        return {"workers": self.workers, "queued": {"gpu": 2}, "executor": {}}


_START: dict[str, Any] = {"inputs": {}, "files": {}, "labels": [], "wait": False}
