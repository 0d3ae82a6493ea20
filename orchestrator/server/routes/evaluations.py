"""Expressions, conditions and schedules, tried without running anything."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request, Response

from orchestrator.lang.expressions import Renderer, plain, with_types
from orchestrator.lang.trials import try_condition, try_schedule
from orchestrator.model.values import Json
from orchestrator.server import answers
from orchestrator.server.bodies import json_object
from orchestrator.server.lookups import Lookups
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.problems import BadArgument

router = APIRouter(prefix="/api/v1")


@router.post("/expressions/render", response_model=None)
async def render(request: Request) -> Response:
    """One `expression` (text, or a structure of texts) on given `variables`."""
    body = await json_object(request)
    if "expression" not in body:
        raise BadArgument("`expression` is needed")
    variables = body.get("variables") or {}
    if not isinstance(variables, Mapping):
        raise BadArgument("`variables` is a map")
    renderer = Renderer(Lookups(parts_of(request)))
    context = _context(with_types(variables), body)
    return answers.made({"result": await slowly(lambda: plain(renderer.render_any(body["expression"], context)))})


def _context(variables: Mapping[str, Json], body: Mapping[str, Json]) -> Mapping[str, Json]:
    """The variables; functions that need a namespace find it, though templates see nothing that was not given."""
    namespace = body.get("namespace")
    if namespace is None or "flow" in variables:
        return variables
    return {**variables, "flow": {"namespace": str(namespace), "id": str(body.get("flow") or "")}}


@router.post("/conditions/evaluate", response_model=None)
async def condition(request: Request) -> Response:
    """Whether one condition holds for an execution that is described."""
    body = await json_object(request)
    renderer = Renderer(Lookups(parts_of(request)))
    return answers.made({"result": await slowly(lambda: try_condition(body, renderer))})


@router.post("/schedules/evaluate", response_model=None)
async def schedule(request: Request) -> Response:
    """The dates of a schedule, with a clock that is given."""
    body = await json_object(request)
    renderer = Renderer(Lookups(parts_of(request)))
    return answers.made(await slowly(lambda: try_schedule(body, renderer)))
