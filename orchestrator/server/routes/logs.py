"""Logs and metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.model.log import Level, LogLine
from orchestrator.model.values import format_instant
from orchestrator.runtime.requests import DeleteLogs
from orchestrator.server import answers, filters
from orchestrator.server.asked import Asked
from orchestrator.server.files import disposition
from orchestrator.server.parts import parts_of, slowly
from orchestrator.store.port import LogFilter

router = APIRouter(prefix="/api/v1")


def which(asked: Asked, execution_id: str) -> LogFilter:
    """The lines of an execution that a request asks for."""
    return LogFilter(
        execution_id=execution_id,
        task_id=asked.text("taskId"),
        task_run_id=asked.text("taskRunId"),
        attempt=asked.number("attempt"),
        min_level=asked.word("minLevel", Level),
    )


async def _lines(request: Request, execution_id: str) -> list[LogLine]:
    wanted = which(Asked(request), execution_id)
    return [line for _, line in await slowly(lambda: parts_of(request).reader.logs(wanted))]


@router.get("/logs/search", response_model=None)
async def search(request: Request) -> Response:
    asked = Asked(request)
    conditions, page = filters.conditions(asked, filters.LOGS), asked.page()
    found = await slowly(lambda: parts_of(request).reader.search_logs(conditions, page))
    return answers.page(answers.texts(found.rows), found.total, ',"type":"OFFSET"')


@router.get("/logs/{execution_id}", response_model=None)
async def of_execution(request: Request, execution_id: str) -> Response:
    return answers.listing(answers.texts(await _lines(request, execution_id)))


@router.get("/logs/{execution_id}/download", response_model=None)
async def download(request: Request, execution_id: str) -> Response:
    lines = await _lines(request, execution_id)
    text = "\n".join(f"{format_instant(line.timestamp)} {line.level} {line.message}" for line in lines)
    return Response(text, media_type="text/plain", headers={"Content-Disposition": disposition(f"{execution_id}.log")})


@router.delete("/logs/{execution_id}", response_model=None)
async def delete_of_execution(request: Request, execution_id: str) -> Response:
    await parts_of(request).executor.delete_logs(DeleteLogs(which=which(Asked(request), execution_id)))
    return answers.empty(200)


@router.delete("/logs/{namespace}/{flow_id}", response_model=None)
async def delete_of_flow(request: Request, namespace: str, flow_id: str) -> Response:
    wanted = LogFilter(namespace=namespace, flow_id=flow_id, trigger_id=Asked(request).text("triggerId"))
    await parts_of(request).executor.delete_logs(DeleteLogs(which=wanted))
    return answers.empty(200)


@router.get("/metrics/{execution_id}", response_model=None)
async def metrics(request: Request, execution_id: str) -> Response:
    asked = Asked(request)
    page, run, task = asked.page(), asked.text("taskRunId"), asked.text("taskId")
    found = await slowly(lambda: parts_of(request).reader.metrics(execution_id, task_run_id=run, task_id=task, page=page))
    return answers.page(answers.texts(found.rows), found.total)
