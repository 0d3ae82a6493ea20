"""Puts the HTTP server together from settings, a reader of the store and a handle on the executor."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.runtime.client import ExecutorClient
from orchestrator.server.app import create_app
from orchestrator.server.serve import serve
from orchestrator.settings import Settings
from orchestrator.store.blobs import open_blobs
from orchestrator.store.opening import open_store


async def serve_api(settings: Settings, executor: ExecutorClient, join: dict[str, Any]) -> None:
    """Serve until the process ends. `join` tells joining machines where the cluster is; its `token_file` is read at each join."""
    reader = open_store(settings.database_url, migrate=False, read_only=True)
    installation = reader.installation()

    def join_info() -> dict[str, Any]:
        told = {key: value for key, value in join.items() if key != "token_file"}
        token = Path(join["token_file"]).read_text().strip() if join["token_file"] else ""  # a cluster of somebody else's may have none
        return {**told, "ray_token": token, "installation": installation.id}

    secret = base64.b64decode(installation.secrets["tokens"])
    app = create_app(
        executor=executor,
        reader=reader,
        settings=settings,
        blobs=open_blobs(settings.data_dir, settings.storage, settings.storage_options),
        run_tokens=RunTokens(secret),
        node_tokens=NodeTokens(secret),
        join_info=join_info,
        dashboard=join.get("dashboard") or "",
    )
    await serve(app, settings)
