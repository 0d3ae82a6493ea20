"""The thin handle on the executor that the server and the command line hold: typed requests over one call of text.

The transport is given: an actor call in the product, a plain coroutine in one process.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator import errors
from orchestrator.model.access_token import AccessToken
from orchestrator.model.plan import FlowPlan
from orchestrator.model.surroundings import Surroundings
from orchestrator.model.values import Frozen, Json
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime.requests import (
    ActOnTriggers,
    CountUses,
    CreateExecution,
    DeclareGroup,
    DeleteFiles,
    DeleteFlow,
    DeleteKeys,
    DrainWorker,
    EndToken,
    ExecutionAction,
    Explain,
    ForgetGroup,
    Join,
    JoinedNode,
    KeepToken,
    LogsAfter,
    MoveFile,
    NamespaceDefaults,
    PlanFlow,
    PutFile,
    PutKey,
    ReapRunners,
    SaveFlow,
    TriggerName,
    Watch,
    WorkerNamed,
)
from orchestrator.store.port import SavedFlow

Call = Callable[[str, str], Awaitable[str]]  # (method, JSON text) -> JSON text; raises Unavailable when the executor is away

_BY_CODE: dict[str, type[errors.OrchestratorError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.OrchestratorError)
}


def failure(error: errors.OrchestratorError) -> str:
    """An error as the text that `raised` turns back into it."""
    told: dict[str, Any] = {"code": _known_code(error), "message": str(error)}
    if isinstance(error, errors.FlowInvalid):
        told["diagnostics"] = [d.model_dump(mode="json") if hasattr(d, "model_dump") else d for d in error.diagnostics]
    return json.dumps({"error": told})


def _known_code(error: errors.OrchestratorError) -> str:
    """The code of the error, or of the nearest class above it that the other side knows."""
    return next((kind.code for kind in type(error).__mro__ if _BY_CODE.get(getattr(kind, "code", "")) is kind), error.code)


def raised(told: dict[str, Any]) -> errors.OrchestratorError:
    """The error that `failure` wrote."""
    if told.get("code") == errors.FlowInvalid.code:
        return errors.FlowInvalid(told["message"], tuple(told.get("diagnostics") or ()))
    kind = _BY_CODE.get(str(told.get("code")), errors.OrchestratorError)
    return kind(told["message"]) if kind is not errors.IllegalTransition else errors.Conflict(told["message"])


class ExecutorClient:
    """Every request the executor takes. All raise the errors of `orchestrator.errors`; Unavailable while it restarts."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def _ask(self, method: str, request: Frozen) -> str:
        answer = await self._call(method, request.model_dump_json(by_alias=False))
        if answer.startswith('{"error":'):
            raise raised(json.loads(answer)["error"])
        return answer

    async def save_flow(self, request: SaveFlow) -> SavedFlow:
        return SavedFlow.model_validate_json(await self._ask("save_flow", request))

    async def surroundings(self) -> Surroundings:
        """What a flow is held against beside its own text."""
        return Surroundings.model_validate_json(await self._ask("surroundings", Frozen()))

    async def plan_flow(self, request: PlanFlow) -> FlowPlan:
        return FlowPlan.model_validate_json(await self._ask("plan_flow", request))

    async def delete_flow(self, request: DeleteFlow) -> None:
        await self._ask("delete_flow", request)

    async def create_execution(self, request: CreateExecution) -> str:
        """The execution's JSON text with its task runs, at its creation or (with `wait`) at its end."""
        return await self._ask("create_execution", request)

    async def act(self, request: ExecutionAction) -> Json:
        return json.loads(await self._ask("act", request))

    async def act_on_triggers(self, request: ActOnTriggers) -> list[Json]:
        """The states of those that it was done to, as they are then."""
        changed: list[Json] = json.loads(await self._ask("act_on_triggers", request))["changed"]
        return changed

    async def explain_trigger(self, name: TriggerName) -> Json:
        """Why it is not being evaluated, or that it is: {"kind", "since", "evidence"}. Raises NotFound."""
        return json.loads(await self._ask("explain_trigger", name))

    async def watch(self, request: Watch) -> Json:
        """{"version": int, "ended": bool, "execution": {...} | null}; NotFound for an unknown execution."""
        return json.loads(await self._ask("watch", request))

    async def logs_after(self, request: LogsAfter) -> Json:
        """[[number, LogEntry], ...], in the order they were taken."""
        return json.loads(await self._ask("logs_after", request))

    async def put_key(self, request: PutKey) -> None:
        await self._ask("put_key", request)

    async def delete_keys(self, request: DeleteKeys) -> list[str]:
        """The keys that were there."""
        found: list[str] = json.loads(await self._ask("delete_keys", request))["deleted"]
        return found

    async def put_file(self, request: PutFile) -> None:
        await self._ask("put_file", request)

    async def delete_files(self, request: DeleteFiles) -> bool:
        """Whether there was anything."""
        return bool(json.loads(await self._ask("delete_files", request))["found"])

    async def move_file(self, request: MoveFile) -> None:
        await self._ask("move_file", request)

    async def explain(self, request: Explain) -> Json:
        """{"executionId", "state", "explanations": [Explanation]}; NotFound for an unknown execution or task."""
        return json.loads(await self._ask("explain", request))

    async def cluster(self) -> Json:
        """What runs where: {"workers": [WorkerInfo], "queued": {group: count}, "executor": {...}}."""
        return json.loads(await self._ask("cluster", Frozen()))

    # --- what runners have made

    async def runners(self) -> Json:
        """{"found": [...], "troubles": [...]}: what is out there under our labels, and whose it is."""
        return await self._told("runners", Frozen())

    async def reap(self, request: ReapRunners) -> Json:
        return await self._told("reap", request)

    # --- machines and who may join

    async def _told(self, method: str, request: Frozen) -> Json:
        return json.loads(await self._ask(method, request))

    async def fleet(self) -> Json:
        """{"cluster": as `cluster`, "declared": [WorkerGroup], "lost": [WorkerInfo], "drains": {node: ...}, "since": {worker: instant}}."""
        return await self._told("fleet", Frozen())

    async def worker(self, request: WorkerNamed) -> Json:
        return await self._told("worker", request)

    async def join(self, request: Join) -> None:
        await self._ask("join", request)

    async def joined(self, request: JoinedNode) -> Json:
        return await self._told("joined", request)

    async def drain(self, request: DrainWorker) -> Json:
        return await self._told("drain", request)

    async def declare_group(self, request: DeclareGroup) -> WorkerGroup:
        return WorkerGroup.model_validate(await self._told("declare_group", request))

    async def forget_group(self, request: ForgetGroup) -> None:
        await self._ask("forget_group", request)

    async def namespace_defaults(self, request: NamespaceDefaults) -> Json:
        return await self._told("namespace_defaults", request)

    async def keep_token(self, request: KeepToken) -> None:
        await self._ask("keep_token", request)

    async def end_token(self, request: EndToken) -> AccessToken | None:
        """The token as it is then; None when it is gone."""
        told = await self._told("end_token", request)
        return None if told is None else AccessToken.model_validate(told)

    async def count_uses(self, request: CountUses) -> None:
        await self._ask("count_uses", request)

    async def rotate_token(self) -> None:
        """Returns once it is asked for; the cluster then starts anew, the executor with it."""
        await self._ask("rotate_token", Frozen())
