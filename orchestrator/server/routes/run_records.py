"""What running work asks about executions, with the token of its own: their logs and how many there are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from orchestrator.model import internal_paths
from orchestrator.model.log import Level
from orchestrator.runtime.requests import ExecutionAction
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.routes.executions import found_execution
from orchestrator.store.port import Condition, LogFilter, Page

router = APIRouter()
AT_ONCE = 1000  # lines read and sent at a time


@router.get(internal_paths.LOGS, response_model=None)
async def logs(request: Request, execution_id: str) -> Response:
    asked, parts = Asked(request), parts_of(request)
    wanted = LogFilter(execution_id=asked.required("execution"), min_level=asked.word("minLevel", Level))
    await slowly(lambda: found_execution(parts, str(wanted.execution_id)))
    return StreamingResponse(_lines(parts, wanted, frozenset(asked.all("task"))), media_type="application/x-ndjson")


def _lines(parts: Parts, wanted: LogFilter, tasks: frozenset[str]) -> Iterator[str]:
    after = 0
    while found := parts.reader.logs(wanted, after=after, limit=AT_ONCE):
        after = found[-1][0]
        yield "".join(text + "\n" for text in answers.texts([line for _, line in found if not tasks or line.task_id in tasks]))


@router.get(internal_paths.CALLED, response_model=None)
async def called(request: Request, execution_id: str) -> Response:
    asked, parts = Asked(request), parts_of(request)
    about = {"task_run_id": asked.required("taskRun"), "task_id": asked.required("task")}
    found = await parts.executor.act(ExecutionAction(execution_id=execution_id, verb="called-beside", args=about))
    return StreamingResponse(_outputs(parts, found), media_type="application/x-ndjson")


def _outputs(parts: Parts, called: Sequence[Sequence[str]]) -> Iterator[str]:
    """Of each call the outputs of its latest execution."""
    for ids in called:
        execution = next((found for one in ids if (found := parts.reader.execution(one)) is not None), None)
        if execution is not None and execution.outputs:
            yield json.dumps(execution.outputs) + "\n"


@router.get(internal_paths.COUNT, response_model=None)
async def count(request: Request, execution_id: str) -> Response:
    asked = Asked(request)
    flow, states = asked.text("flowId"), asked.all("state")
    found = [Condition("namespace", "EQUALS" if flow else "PREFIX", asked.required("namespace"))]
    found += [Condition("flowId", "EQUALS", flow)] if flow else []
    found += [Condition("state", "IN", states)] if states else []
    found += _began("GREATER_THAN_OR_EQUAL_TO", asked.instant("startDate")) + _began("LESS_THAN_OR_EQUAL_TO", asked.instant("endDate"))
    rows = await slowly(lambda: parts_of(request).reader.executions(found, Page(size=1)))
    return answers.made({"count": rows.total})


def _began(op: str, bound: datetime | None) -> list[Condition]:
    return [] if bound is None else [Condition("startDate", op, bound)]
