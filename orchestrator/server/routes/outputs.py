"""Outputs, where the newest clients look for them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotFound
from orchestrator.model.execution import TaskRun
from orchestrator.model.values import Json
from orchestrator.server import answers
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.routes.executions import found_execution

router = APIRouter(prefix="/api/v1/outputs")


@router.get("/executions/{execution_id}", response_model=None)
async def of_execution(request: Request, execution_id: str) -> Response:
    return answers.made(found_execution(parts_of(request), execution_id).outputs)


@router.get("/tasks/{execution_id}", response_model=None)
async def of_tasks(request: Request, execution_id: str) -> Response:
    found_execution(parts_of(request), execution_id)
    return answers.made([_brief(run) for run in await slowly(lambda: parts_of(request).reader.task_runs(execution_id))])


@router.get("/tasks/{execution_id}/{task_run_id}", response_model=None)
async def of_task_run(request: Request, execution_id: str, task_run_id: str) -> Response:
    found = parts_of(request).reader.task_run(task_run_id)
    if found is None or found.execution_id != execution_id:
        raise NotFound(f"no task run `{task_run_id}` in execution `{execution_id}`")
    return answers.made(found.outputs)


def _brief(run: TaskRun) -> Json:
    return answers.present({"taskId": run.task_id, "taskRunId": run.id, "value": run.value, "iteration": run.iteration, "inline": True})
