"""Workers: who is there, and who is to take nothing new."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator.model.values import Json
from orchestrator.model.worker import WorkerState
from orchestrator.runtime.requests import DrainWorker, WorkerNamed
from orchestrator.server import answers, documents
from orchestrator.server.bodies import json_object
from orchestrator.server.fleet import worker_of, workers_of
from orchestrator.server.parts import Parts, parts_of
from orchestrator.server.problems import BadArgument

router = APIRouter(prefix="/api/v1/workers")
DRAIN_GRACE = "PT5M"  # unless asked otherwise


@router.get("", response_model=None)
async def workers(request: Request) -> Response:
    """Those that are there, and those that were lost within the last hour."""
    parts = parts_of(request)
    return answers.made({"workers": [_linked(parts, one) for one in workers_of(await parts.executor.fleet())]})


@router.get("/{worker}", response_model=None)
async def worker(request: Request, worker: str) -> Response:
    """One, by any unique beginning of its id."""
    parts = parts_of(request)
    return answers.made(_linked(parts, shown(await parts.executor.worker(WorkerNamed(worker=worker)))))


@router.post("/{worker}/drain", response_model=None)
async def drain(request: Request, worker: str) -> Response:
    """Send it nothing more; what still runs after `grace` is handed back and goes on elsewhere."""
    return answers.made(shown(await parts_of(request).executor.drain(await drain_of(request, worker=worker))))


async def drain_of(request: Request, *, worker: str = "", mark: str | None = None) -> DrainWorker:
    """What the body asks for. Raises BadArgument."""
    body = await json_object(request, default={})
    documents.refuse_unknown(body, {"grace"}, "a drain")
    found = documents.read(DrainWorker, {"grace": body.get("grace", DRAIN_GRACE)}, worker=worker, mark=mark)
    if found.grace.total_seconds() < 0:
        raise BadArgument("`grace` is not negative")
    return found


def _linked(parts: Parts, worker: dict[str, Any]) -> dict[str, Any]:
    """With the page of its node in the Ray dashboard, where that is known and the node is there."""
    if not parts.dashboard or worker.get("state") == WorkerState.LOST or not worker.get("nodeId"):
        return worker
    return {**worker, "rayDashboard": f"http://{parts.dashboard}/#/cluster/nodes/{worker['nodeId']}"}


def shown(told: Json) -> dict[str, Any]:
    """{"worker", "drain"} of the executor as one thing."""
    return worker_of(told["worker"], told["drain"])
