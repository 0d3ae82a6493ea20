"""Makes the execution that a trigger starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from orchestrator import registry
from orchestrator.engine.variables import nested
from orchestrator.errors import Conflict, ExpressionFailed
from orchestrator.lang import inputs as inputs_of
from orchestrator.lang.expressions import Renderer
from orchestrator.model.execution import Execution, ExecutionTrigger, Metadata
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Json, Label, labels_of
from orchestrator.settings import Settings

CORRELATION = "system.correlationId"


class Firing:
    """`renderer` has services and may block."""

    def __init__(self, settings: Settings, renderer: Renderer, seal: Callable[[str], Json] | None) -> None:
        self._settings, self._renderer, self._seal = settings, renderer, seal

    def execution(self, flow: Flow, spec: TriggerSpec, variables: Mapping[str, Json], *, execution_id: str, evaluation_id: str, now: datetime) -> Execution:
        """The new execution. Raises Conflict for a disabled flow, ExpressionFailed and InputInvalid for inputs that do not come out."""
        if flow.disabled or flow.deleted:
            raise Conflict(f"flow {flow.namespace}.{flow.id} is disabled")
        context = self._context(flow, variables, execution_id)
        given = self._renderer.render_any(dict(spec.raw.get("inputs") or {}), context)
        return Execution(
            id=execution_id,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=inputs_of.resolve(flow, given, {}, renderer=self._renderer, variables=context, seal=self._seal),
            labels=self._labels(flow, spec, context, execution_id),
            state=Lifecycle.begin(now, State.CREATED),
            original_id=execution_id,
            trigger=ExecutionTrigger(
                id=spec.id,
                type=registry.full_name("trigger", spec.type) or spec.type,
                variables=dict(variables),
                evaluation_id=evaluation_id if evaluation_id != execution_id else None,
            ),
            metadata=Metadata(original_created_date=now),
            version=1,
        )

    def _context(self, flow: Flow, variables: Mapping[str, Json], execution_id: str) -> dict[str, Any]:
        return {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "vars": dict(flow.variables),
            "labels": nested(flow.labels),
            "execution": {"id": execution_id},
            "trigger": dict(variables),
            "globals": dict(self._settings.globals),
            "envs": dict(self._settings.envs),
        }

    def _labels(self, flow: Flow, spec: TriggerSpec, context: Mapping[str, Any], execution_id: str) -> tuple[Label, ...]:
        """The flow's, then the trigger's; one that does not come out is left out."""
        found = {label.key: label.value for label in flow.labels}
        for label in labels_of(spec.raw.get("labels")):
            try:
                found[label.key] = self._renderer.render(label.value, context)
            except ExpressionFailed:
                continue
        found.setdefault(CORRELATION, execution_id)
        return tuple(Label(key=key, value=value) for key, value in found.items())
