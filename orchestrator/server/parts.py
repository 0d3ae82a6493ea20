"""What every route works with, put together once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request

from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.model.values import Json
from orchestrator.runtime.client import ExecutorClient
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.port import Reader

T = TypeVar("T")
JoinInfo = Callable[[], Mapping[str, Json]]


@dataclass(frozen=True)
class Parts:
    """The rooms behind the server: every write goes through `executor`, every read through `reader`."""

    executor: ExecutorClient
    reader: Reader
    settings: Settings
    blobs: Blobs
    run_tokens: RunTokens
    node_tokens: NodeTokens
    join_info: JoinInfo | None = None
    dashboard: str = ""  # where the cluster's Ray dashboard listens, host:port; empty where that is not known


def parts_of(request: Request) -> Parts:
    """The parts of the application that answers this request."""
    found: Parts = request.app.state.parts
    return found


async def slowly(ask: Callable[[], T]) -> T:
    """A read that may take more than a millisecond (a search, many rows), off the event loop."""
    return await asyncio.to_thread(ask)
