"""Whether flows can be run now."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response

from orchestrator.errors import OrchestratorError
from orchestrator.model.worker import WorkerState
from orchestrator.server import answers
from orchestrator.server.parts import Parts, parts_of

router = APIRouter()
KEPT = 0.5  # seconds an answer is given again
PATIENCE = 3.0  # seconds the executor may take


@dataclass
class Health:
    """The last answer, and the right to ask for the next."""

    asked: float = float("-inf")
    reason: str | None = "nothing is known yet"
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self, parts: Parts) -> str | None:
        """Why flows cannot be run, or None when they can."""
        async with self.turn:
            if time.monotonic() - self.asked > KEPT:
                self.reason = await _reason(parts)
                self.asked = time.monotonic()
        return self.reason


async def _reason(parts: Parts) -> str | None:
    try:
        cluster = await asyncio.wait_for(parts.executor.cluster(), PATIENCE)
    except TimeoutError:
        return "the executor does not answer"
    except OrchestratorError as err:
        return f"the executor is away: {err}"
    up = [worker for worker in cluster.get("workers", ()) if worker.get("state") == WorkerState.UP.value]
    return None if up else "no worker is up"


@router.get("/health", response_model=None)
async def health(request: Request) -> Response:
    reason = await request.app.state.health.look(parts_of(request))
    return answers.made({"status": "UP"} if reason is None else {"status": "DOWN", "reason": reason}, 200 if reason is None else 503)
