"""Triggers: their state, and what may be done to one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, NotFound, Refused
from orchestrator.model.flow import TriggerSpec
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Json, labels_of, parse_instant
from orchestrator.runtime.requests import ActOnTriggers, AskBackfill, TriggerName
from orchestrator.server import answers, filters
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument, BadBody, BadRequest
from orchestrator.store.port import Condition

router = APIRouter(prefix="/api/v1/triggers")


@router.get("/search", response_model=None)
async def search(request: Request) -> Response:
    asked, parts = Asked(request), parts_of(request)
    conditions, page = filters.conditions(asked, filters.TRIGGERS), asked.page()
    found = await slowly(lambda: parts.reader.search_triggers(conditions, page))
    return answers.made({"results": [_with_spec(parts, state) for state in found.rows], "total": found.total})


@router.put("", response_model=None)
async def update(request: Request) -> Response:
    """Enable or disable a trigger by sending it back changed, or have it make up for dates; nothing else of it may be set."""
    body, parts = await json_object(request), parts_of(request)
    name, disabled, asked = name_of(body), body.get("disabled"), body.get("backfill")
    state = await done(parts, switch(disabled=disabled) if isinstance(disabled, bool) else "look", name)
    known = state.get("backfill") if isinstance(state, Mapping) else None
    if asked is None or (known is not None and _same(asked, known)):
        return answers.made(state)
    return answers.made(await parts.executor.backfill(backfill_of(name, asked)))


@router.put("/set-disabled", response_model=None)
async def set_disabled(request: Request) -> Response:
    body = await json_object(request)
    return answers.made(await done(parts_of(request), switch(disabled=asked_disabled(body)), name_of(body)))


@router.put("/backfill/create", response_model=None)
async def create_backfill(request: Request) -> Response:
    body = await json_object(request)
    return answers.made(await parts_of(request).executor.backfill(backfill_of(name_of(body), body.get("backfill"))))


@router.put("/backfill/pause", response_model=None)
async def pause_backfill(request: Request) -> Response:
    return await _filling_back(request, "pause-backfill")


@router.put("/backfill/unpause", response_model=None)
async def unpause_backfill(request: Request) -> Response:
    return await _filling_back(request, "unpause-backfill")


@router.post("/backfill/delete", response_model=None)
async def delete_backfill(request: Request) -> Response:
    return await _filling_back(request, "delete-backfill")


async def _filling_back(request: Request, verb: str) -> Response:
    """Raises BadRequest where there is no backfill."""
    name = name_of(await json_object(request))
    try:
        return answers.made(await done(parts_of(request), verb, name))
    except (NotFound, Conflict):
        raise
    except Refused as err:
        raise BadRequest(str(err)) from err


@router.get("/{namespace}/{flow_id}", response_model=None)
async def of_flow(request: Request, namespace: str, flow_id: str) -> Response:
    asked = Asked(request)
    conditions = [Condition("namespace", "EQUALS", namespace), Condition("flowId", "EQUALS", flow_id)]
    if wanted := asked.text("q"):
        conditions.append(Condition("q", "EQUALS", wanted))
    page = asked.page()
    found = await slowly(lambda: parts_of(request).reader.search_triggers(conditions, page))
    return answers.page(answers.texts(found.rows), found.total)


@router.get("/{namespace}/{flow_id}/{trigger_id}", response_model=None)
async def show(request: Request, namespace: str, flow_id: str, trigger_id: str) -> Response:
    """One trigger: its state, its definition, and the reason why it is not evaluated now (or that it is)."""
    parts = parts_of(request)
    state = next((one for one in parts.reader.triggers(namespace, flow_id) if one.trigger_id == trigger_id), None)
    if state is None:
        raise NotFound(f"Trigger {trigger_id} of flow {namespace}.{flow_id} not found")
    reason = await parts.executor.explain_trigger(TriggerName(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id))
    reason.pop("explanation", None)
    return answers.made({**_with_spec(parts, state), "reason": answers.present(reason)})


@router.get("/{namespace}/{flow_id}/{trigger_id}/explain", response_model=None)
async def explain(request: Request, namespace: str, flow_id: str, trigger_id: str) -> Response:
    """Why a trigger starts nothing now, in words."""
    told = await parts_of(request).executor.explain_trigger(TriggerName(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id))
    return answers.made({"explanations": [told["explanation"]]})


@router.post("/{namespace}/{flow_id}/{trigger_id}/restart", response_model=None)
async def restart(request: Request, namespace: str, flow_id: str, trigger_id: str) -> Response:
    return answers.made(await done(parts_of(request), "restart", TriggerName(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id)))


@router.post("/{namespace}/{flow_id}/{trigger_id}/unlock", response_model=None)
async def unlock(request: Request, namespace: str, flow_id: str, trigger_id: str) -> Response:
    return answers.made(await done(parts_of(request), "unlock", TriggerName(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id)))


@router.delete("/{namespace}/{flow_id}/{trigger_id}", response_model=None)
async def delete(request: Request, namespace: str, flow_id: str, trigger_id: str) -> Response:
    await done(parts_of(request), "delete", TriggerName(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id))
    return answers.empty(204)


async def done(parts: Parts, verb: str, name: TriggerName) -> Json:
    """The state of a trigger once something was done to it. Raises NotFound and Conflict."""
    (state,) = await parts.executor.act_on_triggers(ActOnTriggers(verb=verb, triggers=(name,)))
    return state


def switch(*, disabled: bool) -> str:
    return "disable" if disabled else "enable"


def asked_disabled(body: Mapping[str, Json]) -> bool:
    if not isinstance(disabled := body.get("disabled"), bool):
        raise BadArgument("`disabled` is true or false")
    return disabled


def name_of(body: Json) -> TriggerName:
    """The trigger that a body names. Raises BadBody."""
    words = [body.get(word) for word in ("namespace", "flowId", "triggerId")] if isinstance(body, Mapping) else []
    if len(words) != 3 or not all(isinstance(word, str) and word for word in words):
        raise BadBody("a trigger is named by `namespace`, `flowId` and `triggerId`")
    namespace, flow_id, trigger_id = words
    return TriggerName(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id)


def backfill_of(name: TriggerName, body: Json) -> AskBackfill:
    """What a body asks to be made up for: `start`, `end`, `inputs`, `labels`. Raises BadArgument."""
    if not isinstance(body, Mapping) or body.get("start") is None:
        raise BadArgument("`backfill` is a map with `start`, and with `end`, `inputs` and `labels` if wanted")
    start, end, inputs = (body.get(word) for word in ("start", "end", "inputs"))
    if not isinstance(inputs, Mapping | None):
        raise BadArgument("`backfill.inputs` is a map")
    try:
        labels_of(body.get("labels"))
        return AskBackfill(name=name, start=_moment(start), end=_moment(end) if end is not None else None, inputs=inputs, labels=body.get("labels"))
    except ValueError as err:
        raise BadArgument(f"`backfill`: {err}") from err


def _moment(text: Json) -> datetime:
    return parse_instant(str(text))


def _same(asked: Json, known: Json) -> bool:
    """Whether a trigger was sent back with the backfill that it has."""
    return isinstance(asked, Mapping) and all(asked.get(word) == known.get(word) for word in ("start", "currentDate"))


def _with_spec(parts: Parts, state: TriggerState) -> dict[str, Json]:
    spec = _spec(parts, state)
    found: dict[str, Json] = answers.present({"abstractTrigger": None if spec is None else spec.raw, "triggerContext": state, "state": state})
    return found


def _spec(parts: Parts, state: TriggerState) -> TriggerSpec | None:
    saved = parts.reader.flow(state.namespace, state.flow_id)
    return None if saved is None else next((spec for spec in saved.flow.triggers if spec.id == state.trigger_id), None)
