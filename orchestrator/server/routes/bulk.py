"""Actions on many executions at once: by their ids, or by a search. All are checked before any is touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, NotFound
from orchestrator.model.execution import Execution
from orchestrator.model.state import State
from orchestrator.model.values import Json
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.server import answers, filters
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_body, json_object, json_texts
from orchestrator.server.labels import checked_labels
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadBody, Ineligible
from orchestrator.server.routes.actions import ended_state, replay_args
from orchestrator.server.routes.executions import delete_one, what_goes
from orchestrator.store.port import Page

router = APIRouter(prefix="/api/v1/executions")
MOST = 100_000  # executions of one bulk action


@dataclass(frozen=True)
class Bulk:
    """One action: its method, what refuses an execution (None: it is eligible), and its arguments from the query."""

    verb: str
    method: str
    refuses: Callable[[Execution], str | None]
    args: Callable[[Asked], Mapping[str, Json]]


def _none(asked: Asked) -> Mapping[str, Json]:
    return {}


def _unless(allowed: Callable[[State], bool], why: str) -> Callable[[Execution], str | None]:
    return lambda execution: None if allowed(execution.current) else why


def _ended(state: State) -> bool:
    return state.ended


BULKS: Sequence[Bulk] = (
    Bulk("kill", "DELETE", _unless(lambda s: not s.ended, "execution already finished"), _none),
    Bulk("restart", "POST", _unless(lambda s: s.ended or s is State.PAUSED, "execution not in state FAILED"), lambda asked: {"revision": None}),
    Bulk("resume", "POST", _unless(lambda s: s is State.PAUSED, "execution not in state PAUSED"), _none),
    Bulk("pause", "POST", _unless(lambda s: s is State.RUNNING, "execution not in state RUNNING"), _none),
    Bulk("replay", "POST", _unless(lambda s: True, ""), replay_args),
    Bulk("force-run", "POST", _unless(lambda s: not s.ended, "execution already finished"), _none),
    Bulk(
        "unqueue",
        "POST",
        _unless(lambda s: s is State.QUEUED, "execution not in state QUEUED"),
        lambda asked: {"state": asked.text("state") or asked.text("newState")},
    ),
    Bulk("change-status", "POST", _unless(_ended, "execution is not terminated"), lambda asked: {"status": ended_state(asked, "newStatus")}),
)


def _install(bulk: Bulk) -> None:
    async def by_ids(request: Request) -> Response:
        chosen = _by_ids(parts_of(request), bulk.verb, await json_texts(request))
        return await _done(request, bulk, chosen, bulk.args(Asked(request)))

    async def by_query(request: Request) -> Response:
        return await _done(request, bulk, await _by_query(request), bulk.args(Asked(request)))

    router.add_api_route(f"/{bulk.verb}/by-ids", by_ids, methods=[bulk.method], response_model=None)
    router.add_api_route(f"/{bulk.verb}/by-query", by_query, methods=[bulk.method], response_model=None)


for _bulk in BULKS:
    _install(_bulk)

_LABELS = Bulk("labels", "POST", _unless(_ended, "execution is not terminated"), _none)


@router.post("/labels/by-ids", response_model=None)
async def labels_by_ids(request: Request) -> Response:
    body = await json_object(request)
    ids = body.get("executionsId")
    if not isinstance(ids, list):
        raise BadBody("`executionsId` is a list of ids")
    chosen = _by_ids(parts_of(request), "labels", [str(id) for id in ids])
    return await _done(request, _LABELS, chosen, {"labels": checked_labels(body.get("executionLabels"))})


@router.post("/labels/by-query", response_model=None)
async def labels_by_query(request: Request) -> Response:
    labels = checked_labels(await json_body(request))
    return await _done(request, _LABELS, await _by_query(request), {"labels": labels})


@router.delete("/by-ids", response_model=None)
async def delete_by_ids(request: Request) -> Response:
    asked = Asked(request)
    chosen = _by_ids(parts_of(request), "delete", await json_texts(request))
    return await _done(request, _delete(asked), chosen, what_goes(asked))


@router.delete("/by-query", response_model=None)
async def delete_by_query(request: Request) -> Response:
    asked = Asked(request)
    chosen = await _by_query(request)
    if not asked.flag("includeNonTerminated", default=False):
        chosen = [execution for execution in chosen if execution.current.ended]
    return await _done(request, _delete(asked), chosen, what_goes(asked))


def _delete(asked: Asked) -> Bulk:
    running_too = asked.flag("includeNonTerminated", default=False)
    return Bulk("delete", "DELETE", _unless(lambda s: running_too or s.ended, "execution is not terminated"), _none)


def _by_ids(parts: Parts, action: str, ids: Sequence[str]) -> list[Execution]:
    found = {id: parts.reader.execution(id) for id in ids}
    if unknown := [(id, "execution not found") for id, execution in found.items() if execution is None]:
        raise Ineligible(action, unknown)
    return [execution for execution in found.values() if execution is not None]


async def _by_query(request: Request) -> list[Execution]:
    conditions = filters.conditions(Asked(request), filters.EXECUTIONS)
    return list((await slowly(lambda: parts_of(request).reader.executions(conditions, Page(1, MOST)))).rows)


async def _done(request: Request, bulk: Bulk, chosen: Sequence[Execution], args: Mapping[str, Json]) -> Response:
    refused = [(execution.id, why) for execution in chosen if (why := bulk.refuses(execution))]
    if refused:
        raise Ineligible(bulk.verb, refused)
    count = 0
    for execution in chosen:
        try:
            await _act(parts_of(request), bulk.verb, execution.id, args)
            count += 1
        except (NotFound, Conflict):
            continue  # it has changed since it was checked
    return answers.made({"count": count})


async def _act(parts: Parts, verb: str, execution_id: str, args: Mapping[str, Json]) -> None:
    if verb == "delete":
        return await delete_one(parts, execution_id, args)
    await parts.executor.act(ExecutionAction(execution_id=execution_id, verb=verb, args=args))
