"""An application over a stand-in executor, and what its tests send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from api_stand_in import StandIn

from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.server.app import create_app
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs

FLOW = """id: hello
namespace: io.acme
inputs:
  - {id: name, type: STRING, defaults: you}
  - {id: doc, type: FILE, required: false}
tasks:
  - {id: t, type: x.Y, format: '{{ inputs.name }}'}
"""
YAML = {"Content-Type": "application/x-yaml"}


class Site:
    """An application over a stand-in, and a way to reach it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.executor = StandIn(Settings(**settings))
        self.blobs = Blobs(folder)
        self.tokens = RunTokens(b"k" * 32)
        self.app = create_app(
            executor=self.executor.client,
            reader=self.executor.store,
            settings=Settings(**settings),
            blobs=self.blobs,
            run_tokens=self.tokens,
            node_tokens=NodeTokens(b"k" * 32),
            join_info=lambda: {
                "session": "s1",
                "address": "127.0.0.1:6379",
                "ray_token": "rt",
                "installation": "i",
                "server_version": "0.1.0",
                "ray_version": "2.51.0",
                "python_version": "3.11.4",
            },
            dashboard="127.0.0.1:8265",
        )

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080", headers=headers) as client:
            yield client
