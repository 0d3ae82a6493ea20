"""The application: routes over the parts, behind one door."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware import Middleware

from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.runtime.client import ExecutorClient
from orchestrator.runtime.requests import CountUses
from orchestrator.server import minting, problems
from orchestrator.server.auth import Door
from orchestrator.server.parts import JoinInfo, Parts
from orchestrator.server.paths import OnePath
from orchestrator.server.routes import (
    actions,
    bulk,
    cluster,
    costs,
    evaluations,
    execution_files,
    executions,
    explain,
    flow_checks,
    flow_sets,
    flows,
    follow,
    health,
    instance,
    instance_queues,
    keys,
    logs,
    namespace_defaults,
    namespace_files,
    namespaces,
    outputs,
    plugins,
    prometheus,
    run_files,
    run_records,
    runners,
    runs,
    tokens,
    trigger_sets,
    triggers,
    worker_groups,
    workers,
)
from orchestrator.server.tally import Tally
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
    namespace_defaults.router,
    namespaces.router,
    namespace_files.router,
    outputs.router,
    trigger_sets.router,
    triggers.router,
    plugins.router,
    evaluations.router,
    workers.router,
    worker_groups.router,
    runners.router,
    instance.router,
    instance_queues.router,
    tokens.router,
    cluster.router,
    explain.router,
    costs.router,
    prometheus.router,
    health.router,
)


def create_app(
    *,
    executor: ExecutorClient,
    reader: Reader,
    settings: Settings,
    blobs: Blobs,
    run_tokens: RunTokens,
    node_tokens: NodeTokens,
    join_info: JoinInfo | None = None,
    dashboard: str = "",
) -> FastAPI:
    """The HTTP API. `join_info` tells a machine that wants to join where the cluster is; without it none can join. `dashboard` is
    where Ray's listens (host:port), empty for unknown."""
    tally = Tally(lambda uses: executor.count_uses(CountUses(uses=uses)))
    app = FastAPI(
        title="orchestrator",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(OnePath),
            Middleware(
                Door,
                api_token=settings.api_token,
                run_tokens=run_tokens,
                node_tokens=node_tokens,
                minted=minting.reader_of(reader),
                used=tally.count,
            ),
        ],
    )
    app.state.parts = Parts(executor, reader, settings, blobs, run_tokens, node_tokens, join_info, dashboard)
    app.state.health = health.Health()
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
