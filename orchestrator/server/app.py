"""The application: routes over the parts, behind one door."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware

from orchestrator.model.run_token import RunTokens
from orchestrator.runtime.client import ExecutorClient
from orchestrator.server import problems
from orchestrator.server.auth import Door
from orchestrator.server.parts import JoinInfo, Parts
from orchestrator.server.paths import OnePath
from orchestrator.server.routes import (
    actions,
    bulk,
    cluster,
    evaluations,
    execution_files,
    executions,
    flow_checks,
    flow_sets,
    flows,
    follow,
    health,
    keys,
    logs,
    namespace_files,
    namespaces,
    outputs,
    plugins,
    run_files,
    run_records,
    runs,
    trigger_sets,
    triggers,
)
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.port import Reader

# In order: fixed words win over ids, what is asked most often stands early.
ROUTERS = (
    executions.busy,
    executions.words,
    bulk.router,
    executions.router,
    follow.router,
    logs.router,
    actions.router,
    execution_files.router,
    runs.router,
    run_files.router,
    run_records.router,
    flow_checks.router,
    flow_sets.router,
    flows.router,
    keys.router,
    namespaces.router,
    namespace_files.router,
    outputs.router,
    trigger_sets.router,
    triggers.router,
    plugins.router,
    evaluations.router,
    cluster.router,
    health.router,
)


def create_app(
    *,
    executor: ExecutorClient,
    reader: Reader,
    settings: Settings,
    blobs: Blobs,
    run_tokens: RunTokens,
    join_info: JoinInfo | None = None,
) -> FastAPI:
    """The HTTP API. `join_info` tells a machine that wants to join where the cluster is; without it none can join."""
    app = FastAPI(
        title="orchestrator",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[Middleware(OnePath), Middleware(Door, api_token=settings.api_token, run_tokens=run_tokens)],
    )
    app.state.parts = Parts(executor, reader, settings, blobs, run_tokens, join_info)
    app.state.health = health.Health()
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
