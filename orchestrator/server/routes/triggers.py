"""The state of triggers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.model.flow import TriggerSpec
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Json
from orchestrator.server import answers, filters
from orchestrator.server.asked import Asked
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.store.port import Condition

router = APIRouter(prefix="/api/v1/triggers")


@router.get("/search", response_model=None)
async def search(request: Request) -> Response:
    asked, parts = Asked(request), parts_of(request)
    conditions, page = filters.conditions(asked, filters.TRIGGERS), asked.page()
    found = await slowly(lambda: parts.reader.search_triggers(conditions, page))
    return answers.made({"results": [_with_spec(parts, state) for state in found.rows], "total": found.total})


@router.get("/{namespace}/{flow_id}", response_model=None)
async def of_flow(request: Request, namespace: str, flow_id: str) -> Response:
    asked = Asked(request)
    conditions = [Condition("namespace", "EQUALS", namespace), Condition("flowId", "EQUALS", flow_id)]
    if wanted := asked.text("q"):
        conditions.append(Condition("q", "EQUALS", wanted))
    page = asked.page()
    found = await slowly(lambda: parts_of(request).reader.search_triggers(conditions, page))
    return answers.page(answers.texts(found.rows), found.total)


def _with_spec(parts: Parts, state: TriggerState) -> Json:
    spec = _spec(parts, state)
    return answers.present({"abstractTrigger": None if spec is None else spec.raw, "triggerContext": state, "state": state})


def _spec(parts: Parts, state: TriggerState) -> TriggerSpec | None:
    saved = parts.reader.flow(state.namespace, state.flow_id)
    return None if saved is None else next((spec for spec in saved.flow.triggers if spec.id == state.trigger_id), None)
