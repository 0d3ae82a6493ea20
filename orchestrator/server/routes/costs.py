"""What an execution has cost, as far as it is known."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.server import answers
from orchestrator.server.costs import costs_of
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.routes.executions import found_execution

router = APIRouter(prefix="/api/v1")


@router.get("/executions/{execution_id}/cost", response_model=None)
async def cost(request: Request, execution_id: str) -> Response:
    """In all, by task and by runner, and each run with the price it was counted by; null is what nobody knows."""
    parts = parts_of(request)
    found_execution(parts, execution_id)
    runs = await slowly(lambda: parts.reader.task_runs(execution_id))
    return answers.made({"executionId": execution_id, **costs_of(runs, parts.settings.price_book)})
