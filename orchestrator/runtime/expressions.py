"""An expression rendered as an execution, or one of its task runs, would see it: for a person to look at."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import NotFound
from orchestrator.lang.expressions import Renderer
from orchestrator.lang.functions.services import ExpressionServices
from orchestrator.model.values import Json
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.reading import Reading
from orchestrator.runtime.requests import ExecutionAction

MASKED = "******"


class Masking:
    """ExpressionServices that give a secret masked: no filter can take it apart."""

    def __init__(self, services: ExpressionServices) -> None:
        self._services = services

    def secret(self, namespace: str, key: str) -> str:
        self._services.secret(namespace, key)
        return MASKED

    def kv(self, namespace: str, key: str) -> Any:
        return self._services.kv(namespace, key)

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        return self._services.read(path, context)

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        return self._services.file_size(path, context)

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        return self._services.file_exists(path, context)

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self._services.error_logs(context)


class Expressions:
    """What is sealed stays sealed, and of a secret it is only shown that it is there."""

    def __init__(self, executor: Executor, executions: Reading) -> None:
        self._executor, self._executions = executor, executions
        services = executor.head_renderer.services
        self._renderer = Renderer(Masking(services) if services is not None else None)

    async def evaluate(self, request: ExecutionAction) -> Json:
        """{"result": text}. Raises ExpressionFailed, NotFound for an unknown task run."""
        expression, run_id = str(request.args["expression"]), request.args.get("task_run_id")
        view = self._executions.view(request.execution_id)
        run = view.run(str(run_id)) if run_id is not None else None
        if run_id is not None and run is None:
            raise NotFound(f"Task run {run_id} does not exist")
        context = self._executor.dispatcher.sealed_context(view, run, expression)
        return {"result": await asyncio.to_thread(self._renderer.render, expression, context)}
