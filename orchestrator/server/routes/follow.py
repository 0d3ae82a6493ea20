"""Executions and logs as they happen."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.server import stream
from orchestrator.server.asked import Asked
from orchestrator.server.parts import parts_of
from orchestrator.server.routes.logs import which

router = APIRouter(prefix="/api/v1")


@router.get("/executions/{execution_id}/follow", response_model=None)
async def execution(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    await stream.expected(parts, execution_id)
    return stream.streaming(stream.execution_events(parts, execution_id))


@router.get("/logs/{execution_id}/follow", response_model=None)
async def logs(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    wanted = which(Asked(request), execution_id)
    await stream.expected(parts, execution_id)
    return stream.streaming(stream.log_events(parts, wanted))
