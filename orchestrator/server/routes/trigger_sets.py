"""Many triggers at once: those named in the body, or those that a search finds."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from orchestrator.model.values import Json
from orchestrator.runtime.requests import ActOnTriggers, TriggerName
from orchestrator.server import answers, filters
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_body, json_object
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.problems import BadArgument, BadBody
from orchestrator.server.routes.triggers import asked_disabled, name_of, switch

router = APIRouter(prefix="/api/v1/triggers")


@router.post("/set-disabled/by-triggers", response_model=None)
async def set_disabled_by_triggers(request: Request) -> Response:
    body = await json_object(request)
    return await _count(request, switch(disabled=asked_disabled(body)), _names(body.get("triggers")))


@router.post("/set-disabled/by-query", response_model=None)
async def set_disabled_by_query(request: Request) -> Response:
    disabled = Asked(request).flag("disabled", default=True)
    return await _count(request, switch(disabled=disabled), await _by_query(request))


@router.post("/unlock/by-triggers", response_model=None)
async def unlock_by_triggers(request: Request) -> Response:
    return await _count(request, "unlock", _names(await json_body(request)))


@router.post("/unlock/by-query", response_model=None)
async def unlock_by_query(request: Request) -> Response:
    return await _count(request, "unlock", await _by_query(request))


@router.delete("/delete/by-triggers", response_model=None)
async def delete_by_triggers(request: Request) -> Response:
    """A trigger's state goes with its flow, or with the revision that declares it no more: none is left to delete."""
    return await _deleted(request, _names(await json_body(request)))


@router.delete("/delete/by-query", response_model=None)
async def delete_by_query(request: Request) -> Response:
    return await _deleted(request, await _by_query(request))


@router.post("/backfill/{verb}/by-triggers", response_model=None)
async def backfill_by_triggers(request: Request, verb: str) -> Response:
    return await _count(request, _backfill(verb), _names(await json_body(request)))


@router.post("/backfill/{verb}/by-query", response_model=None)
async def backfill_by_query(request: Request, verb: str) -> Response:
    return await _count(request, _backfill(verb), await _by_query(request))


async def _by_query(request: Request) -> Sequence[TriggerName]:
    conditions = filters.conditions(Asked(request), filters.TRIGGERS)
    found = await slowly(lambda: parts_of(request).reader.search_triggers(conditions))
    return [TriggerName(namespace=state.namespace, flow_id=state.flow_id, trigger_id=state.trigger_id) for state in found.rows]


def _names(body: Json) -> Sequence[TriggerName]:
    if not isinstance(body, list):
        raise BadBody("a list of triggers is expected")
    return [name_of(one) for one in body]


async def _act(request: Request, verb: str, names: Sequence[TriggerName]) -> int:
    changed = await parts_of(request).executor.act_on_triggers(ActOnTriggers(verb=verb, triggers=tuple(names), strict=False))
    return len(changed)


async def _count(request: Request, verb: str, names: Sequence[TriggerName]) -> Response:
    return answers.made({"count": await _act(request, verb, names)})


async def _deleted(request: Request, names: Sequence[TriggerName]) -> Response:
    return answers.made({"totalItems": await _act(request, "delete", names)})


def _backfill(verb: str) -> str:
    if verb not in ("pause", "unpause", "delete"):
        raise BadArgument(f"a backfill is paused, unpaused or deleted, not `{verb}`")
    return f"{verb}-backfill"
