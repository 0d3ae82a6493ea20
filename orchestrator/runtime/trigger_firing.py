"""Makes the execution that a trigger starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator import registry
from orchestrator.engine.variables import nested
from orchestrator.errors import Conflict, ExpressionFailed
from orchestrator.lang import inputs as inputs_of
from orchestrator.lang.conditions import Judge
from orchestrator.lang.expressions import Renderer
from orchestrator.model.execution import Execution, ExecutionTrigger, Metadata
from orchestrator.model.flow import Flow, TriggerSpec
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Json, Label, labels_of
from orchestrator.sdk import ExecutionFacts
from orchestrator.settings import Settings

CORRELATION = "system.correlationId"


@dataclass(frozen=True)
class Start:
    """What an execution is started with. `variables` are those of the trigger; `inputs` and `labels` go before the trigger's own.

    `names` are further names for the templates of inputs and labels, `own` the execution's own variables; `correlation`
    is that of the execution it follows from. With `lacking` an input that is needed may lack a value.
    """

    execution_id: str
    variables: Mapping[str, Json] = field(default_factory=dict)
    evaluation_id: str | None = None
    inputs: Mapping[str, Json] = field(default_factory=dict)
    labels: Json = None
    names: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Json] = field(default_factory=dict)
    date: datetime | None = None
    correlation: str | None = None
    lacking: bool = False


class Firing:
    """`renderer` has services and may block."""

    def __init__(self, settings: Settings, renderer: Renderer, seal: Callable[[str], Json] | None) -> None:
        self._settings, self._renderer, self._seal = settings, renderer, seal

    def execution(self, flow: Flow, spec: TriggerSpec, start: Start, now: datetime) -> Execution:
        """The new execution. Raises Conflict for a disabled flow, ExpressionFailed and InputInvalid for inputs that do not come out."""
        if flow.disabled or flow.deleted:
            raise Conflict(f"flow {flow.namespace}.{flow.id} is disabled")
        context = self._context(flow, spec, start)
        given = self._renderer.render_any({**(spec.raw.get("inputs") or {}), **start.inputs}, context)
        declared = flow.inputs
        if start.lacking:
            declared = tuple(one if one.id in given else one.model_copy(update={"required": False}) for one in declared)
        inputs = inputs_of.resolve_declared(declared, given, {}, renderer=self._renderer, variables=context, seal=self._seal)
        return self._made(flow, spec, start, now, inputs=inputs, state=Lifecycle.begin(now, State.CREATED))

    def failed(self, flow: Flow, spec: TriggerSpec, start: Start, now: datetime) -> Execution:
        """One that has failed before it could begin, for people to see."""
        return self._made(flow, spec, start, now, inputs={}, state=Lifecycle.begin(now, State.CREATED).to(State.FAILED, now))

    def _made(self, flow: Flow, spec: TriggerSpec, start: Start, now: datetime, *, inputs: Mapping[str, Json], state: Lifecycle) -> Execution:
        return Execution(
            id=start.execution_id,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=inputs,
            labels=self._labels(flow, spec, start),
            variables=dict(start.own),
            state=state,
            original_id=start.execution_id,
            trigger=ExecutionTrigger(
                id=spec.id,
                type=registry.full_name("trigger", spec.type) or spec.type,
                variables=dict(start.variables),
                evaluation_id=start.evaluation_id if start.evaluation_id != start.execution_id else None,
            ),
            metadata=Metadata(original_created_date=now),
            schedule_date=start.date,
            version=1,
        )

    def judge(self, flow: Flow, spec: TriggerSpec, variables: Mapping[str, Json]) -> Judge:
        """What a trigger's conditions are tested on, where no execution is in question."""
        return self._judge(flow, spec, variables, {"labels": nested(flow.labels)})

    def judge_of(self, flow: Flow, spec: TriggerSpec, variables: Mapping[str, Json], names: Mapping[str, Any], facts: ExecutionFacts) -> Judge:
        """What they are tested on for an execution, of which templates may name `names`."""
        return self._judge(flow, spec, variables, names, facts)

    def _judge(self, flow: Flow, spec: TriggerSpec, variables: Mapping[str, Json], names: Mapping[str, Any], facts: ExecutionFacts | None = None) -> Judge:
        context = {**names, **self._about(flow), "trigger": {"id": spec.id, "type": spec.type, **variables}}
        return Judge(self._renderer, context, flow=flow.key, execution=facts)

    def _about(self, flow: Flow) -> dict[str, Any]:
        return {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "vars": dict(flow.variables),
            "globals": dict(self._settings.globals),
            "envs": dict(self._settings.envs),
        }

    def _context(self, flow: Flow, spec: TriggerSpec, start: Start) -> dict[str, Any]:
        own = {"labels": nested(flow.labels), "execution": {"id": start.execution_id}}
        return {**own, **start.names, **self._about(flow), "trigger": dict(start.variables)}

    def _labels(self, flow: Flow, spec: TriggerSpec, start: Start) -> tuple[Label, ...]:
        """The flow's, then the trigger's, then the start's own; one that does not come out is left out."""
        found, context = {label.key: label.value for label in flow.labels}, self._context(flow, spec, start)
        for label in (*labels_of(spec.raw.get("labels")), *labels_of(start.labels)):
            try:
                found[label.key] = self._renderer.render(label.value, context)
            except ExpressionFailed:
                continue
        found.setdefault(CORRELATION, start.correlation or start.execution_id)
        return tuple(Label(key=key, value=value) for key, value in found.items())
