"""Whose run it is that asks: an execution's, or the evaluation of a trigger, whose execution is not there yet."""

from __future__ import annotations

from starlette.requests import Request

from orchestrator.model.run_token import Grant
from orchestrator.server.parts import parts_of
from orchestrator.server.routes.executions import found_execution


def grant_of(request: Request) -> Grant:
    """What the token of a request opens."""
    found: Grant = request.state.grant
    return found


def flow_of(request: Request, execution_id: str) -> tuple[str, str]:
    """Namespace and flow of the run that asks. Raises NotFound for an execution that is gone."""
    grant = grant_of(request)
    if grant.namespace is not None and grant.flow_id is not None:
        return grant.namespace, grant.flow_id
    execution = found_execution(parts_of(request), execution_id)
    return execution.namespace, execution.flow_id
