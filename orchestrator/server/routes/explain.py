"""Why something does not run."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.runtime.requests import Explain
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.parts import parts_of

router = APIRouter(prefix="/api/v1")


@router.get("/executions/{execution_id}/explain", response_model=None)
async def explain(request: Request, execution_id: str) -> Response:
    """Every typed reason why an execution is not running or has failed; `task`: only of that task or task run."""
    return answers.made(await parts_of(request).executor.explain(Explain(execution_id=execution_id, task=Asked(request).text("task"))))
