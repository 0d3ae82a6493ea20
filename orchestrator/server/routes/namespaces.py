"""Namespaces: they exist because flows are in them."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Request, Response

from orchestrator.model.values import Json
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.routes.keys import above

router = APIRouter(prefix="/api/v1/namespaces")
SYSTEM = "system"


@router.get("/search", response_model=None)
async def search(request: Request) -> Response:
    asked = Asked(request)
    page = asked.page()
    descending = any(field == "id" and not ascending for field, ascending in page.sort)
    wanted = (asked.text("q") or asked.text("filters[q][EQUALS]") or "").lower()
    found = [name for name in sorted(_all(await slowly(parts_of(request).reader.namespaces)), reverse=descending) if wanted in name.lower()]
    start = (page.number - 1) * page.size
    return answers.made({"results": [_shown(name) for name in found[start : start + page.size]], "total": len(found)})


@router.post("/autocomplete", response_model=None)
async def autocomplete(request: Request) -> Response:
    body = await json_object(request, default={})
    wanted, ids = str(body.get("q") or "").lower(), body.get("ids")
    found = sorted(_all(await slowly(parts_of(request).reader.namespaces)))
    return answers.made([name for name in found if wanted in name.lower() and (not ids or name in ids)])


@router.get("/{namespace}", response_model=None)
async def get(request: Request, namespace: str) -> Response:
    return answers.made(_shown(namespace))


def _all(of_flows: Iterable[str]) -> set[str]:
    return {SYSTEM, *(name for namespace in of_flows for name in above(namespace))}


def _shown(name: str) -> Json:
    return {"id": name, "disabled": False, "deleted": False}
