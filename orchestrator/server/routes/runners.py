"""What task runners have made, and what of it nobody owns any more."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.runtime.requests import ReapRunners
from orchestrator.server import answers, documents
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import parts_of
from orchestrator.server.problems import BadArgument

router = APIRouter(prefix="/api/v1/runners")


@router.get("", response_model=None)
async def runners(request: Request) -> Response:
    """Everything under our labels at every back end that answers, and whose it is: running, adopted, orphaned or kept."""
    return answers.made(await parts_of(request).executor.runners())


@router.post("/reap", response_model=None)
async def reap(request: Request) -> Response:
    """Remove what is orphaned; `dryRun`: only tell what would be."""
    body = await json_object(request, default={})
    documents.refuse_unknown(body, {"dryRun"}, "a reaping")
    dry_run = body.get("dryRun", False)
    if not isinstance(dry_run, bool):
        raise BadArgument("`dryRun` is true or false")
    return answers.made(await parts_of(request).executor.reap(ReapRunners(dry_run=dry_run)))
