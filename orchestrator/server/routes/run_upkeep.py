"""What running work does to other executions, with the token of its own: lets one go on, removes what is old. No trigger may."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, NotAllowed, NotFound
from orchestrator.model import internal_paths
from orchestrator.model.execution import Execution
from orchestrator.model.log import Level
from orchestrator.model.state import ENDED, State
from orchestrator.model.values import Json
from orchestrator.runtime.requests import DeleteLogs, ExecutionAction
from orchestrator.server import answers
from orchestrator.server.asked import instant
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument
from orchestrator.server.run_grants import grant_of
from orchestrator.store.port import Condition, LogFilter, Page

router = APIRouter()
AT_ONCE = 100  # executions looked up at a time
LINES_AT_ONCE = 5000  # log lines of one transaction


@router.post(internal_paths.RESUME, response_model=None)
async def resume(request: Request, execution_id: str, other_id: str) -> Response:
    _only_for_executions(request)
    inputs = (await json_object(request)).get("inputs") or {}
    if not isinstance(inputs, dict):
        raise BadArgument("`inputs` is a map")
    await parts_of(request).executor.act(ExecutionAction(execution_id=other_id, verb="resume", args={"inputs": inputs}))
    return answers.empty(204)


@router.post(internal_paths.PURGE_EXECUTIONS, response_model=None)
async def purge_executions(request: Request, execution_id: str) -> Response:
    """Page by page, oldest first; one that has begun again meanwhile stays."""
    _only_for_executions(request)
    body, parts = await json_object(request), parts_of(request)
    conditions, what = _executions(_map(body, "which")), {name: value is not False for name, value in _map(body, "what").items()}
    gone = {"executions": 0, "logs": 0, "metrics": 0, "storages": 0}
    seen, page = {execution_id}, 1
    while rows := await slowly(_reading(parts, conditions, page)):
        fresh = [execution for execution in rows if execution.id not in seen]
        page += not fresh  # what is deleted makes room on this page for those of the next
        for execution in fresh:
            seen.add(execution.id)
            counted = await _purge(parts, execution, what)
            gone = {name: number + counted.get(name, 0) for name, number in gone.items()}
    return answers.made(gone)


def _reading(parts: Parts, conditions: Sequence[Condition], page: int) -> Callable[[], Sequence[Execution]]:
    return lambda: parts.reader.executions(conditions, Page(page, AT_ONCE, (("state.startDate", True),))).rows


async def _purge(parts: Parts, execution: Execution, what: Mapping[str, bool]) -> Mapping[str, int]:
    files = parts.reader.files("execution", execution.id) if what.get("storage", True) else ()
    counted = await slowly(lambda: _counted(parts, execution.id, what)) | {"storages": len(files)}
    try:
        await parts.executor.act(ExecutionAction(execution_id=execution.id, verb="delete", args=what))
    except (Conflict, NotFound):
        return {}
    for file in files:
        if file.blob:
            parts.blobs.remove(file.blob)
    return counted


def _counted(parts: Parts, execution_id: str, what: Mapping[str, bool]) -> dict[str, int]:
    lines = [Condition("executionId", "EQUALS", execution_id)]
    return {
        "executions": int(what.get("execution", True)),
        "logs": parts.reader.search_logs(lines, Page(size=1)).total if what.get("logs", True) else 0,
        "metrics": parts.reader.metrics(execution_id, page=Page(size=1)).total if what.get("metrics", True) else 0,
    }


def _executions(which: Mapping[str, Json]) -> list[Condition]:
    flow, namespace, states = which.get("flowId"), which.get("namespace"), which.get("states") or ()
    wanted = [state for state in State if state in ENDED and (not states or state.value in states)]
    found = [Condition("state", "IN", [state.value for state in wanted])]
    found += [Condition("namespace", "EQUALS" if flow else "PREFIX", namespace)] if namespace else []
    found += [Condition("flowId", "EQUALS", flow)] if flow else []
    for name, op in (("startDate", "GREATER_THAN_OR_EQUAL_TO"), ("endDate", "LESS_THAN_OR_EQUAL_TO")):
        if which.get(name):
            found.append(Condition("startDate", op, instant(name, str(which[name]))))
    return found


@router.post(internal_paths.PURGE_LOGS, response_model=None)
async def purge_logs(request: Request, execution_id: str) -> Response:
    _only_for_executions(request)
    which, parts = _map(await json_object(request), "which"), parts_of(request)
    gone = {}
    for name, asked, of_executions in (("executions", "purgeExecutionLogs", True), ("others", "purgeNonExecutionLogs", False)):
        gone[name] = await _purge_lines(parts, _lines(which, of_executions=of_executions)) if which.get(asked, True) else 0
    return answers.made(gone)


async def _purge_lines(parts: Parts, which: dict[str, Any]) -> int:
    count = 0
    while found := await slowly(lambda: parts.reader.logs(LogFilter(**which), limit=LINES_AT_ONCE)):
        await parts.executor.delete_logs(DeleteLogs(which=LogFilter(**which, up_to=found[-1][0])))
        count += len(found)
    return count


def _lines(which: Mapping[str, Json], *, of_executions: bool) -> dict[str, Any]:
    return {
        "namespace": which.get("namespace"),
        "below": not which.get("flowId"),
        "flow_id": which.get("flowId"),
        "execution_id": which.get("executionId"),
        "levels": tuple(_levels(which.get("logLevels"))),
        "start": instant("startDate", str(which["startDate"])) if which.get("startDate") else None,
        "end": instant("endDate", str(which["endDate"])) if which.get("endDate") else None,
        "of_executions": of_executions,
    }


def _levels(given: Json) -> Iterator[Level]:
    for word in given or ():
        if word not in Level.__members__:
            raise BadArgument(f"`logLevels`: there is no level '{word}'")
        yield Level(word)


def _map(body: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = body.get(name) or {}
    if not isinstance(found, dict):
        raise BadArgument(f"`{name}` is a map")
    return found


def _only_for_executions(request: Request) -> None:
    if grant_of(request).namespace is not None:
        raise NotAllowed("the evaluation of a trigger may reach no execution")
