"""Flows and executions as graphs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.errors import FlowInvalid
from orchestrator.lang.check import check
from orchestrator.lang.diagnostics import errors_of
from orchestrator.lang.drawing import graph_of
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.routes.executions import found_execution
from orchestrator.server.routes.flows import found_flow, source_of

router = APIRouter(prefix="/api/v1")


@router.get("/flows/{namespace}/{flow_id}/graph", response_model=None)
async def of_flow(request: Request, namespace: str, flow_id: str) -> Response:
    flow = found_flow(parts_of(request), namespace, flow_id, Asked(request).number("revision")).flow
    return answers.made(await slowly(lambda: graph_of(flow)))


@router.post("/flows/graph", response_model=None)
async def of_source(request: Request) -> Response:
    source = await source_of(request)
    flow, found = await slowly(lambda: check(source))
    if flow is None:
        problems = errors_of(found)
        raise FlowInvalid("\n".join(problem.message for problem in problems), problems)
    return answers.made(await slowly(lambda: graph_of(flow)))


@router.get("/executions/{execution_id}/graph", response_model=None)
async def of_execution(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    execution = found_execution(parts, execution_id)
    flow = found_flow(parts, execution.namespace, execution.flow_id, execution.flow_revision, deleted=True).flow
    return answers.made(await slowly(lambda: graph_of(flow, parts.reader.task_runs(execution_id))))
