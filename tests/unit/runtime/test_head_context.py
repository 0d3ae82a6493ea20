"""What templates see that are rendered on the head."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

from orchestrator.engine.events import Evaluate, Evaluated, Run, RunEnded, Started
from orchestrator.engine.step import step
from orchestrator.engine.view import ExecutionView
from orchestrator.lang.expressions import Renderer
from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Execution
from orchestrator.model.flow import Flow
from orchestrator.model.run_token import RunTokens
from orchestrator.model.state import Lifecycle
from orchestrator.runtime.dispatching import Dispatcher
from orchestrator.runtime.flow_cache import FlowCache
from orchestrator.settings import Settings
from orchestrator.store.memory import MemoryStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RETURN = {"id": "t", "type": "io.kestra.plugin.core.debug.Return", "format": "x"}
EACH = {"id": "each", "type": "io.kestra.plugin.core.flow.ForEach", "values": ["a", "b"], "tasks": [RETURN]}


def test_outputs_of_other_iterations_are_read_when_a_template_asks_for_them() -> None:
    flow = Flow.model_validate({"id": "f", "namespace": "io.test", "tasks": [EACH]})
    flows, ids = FlowCache(MemoryStore()), map("r{}".format, count())
    execution = Execution(id="e", namespace="io.test", flow_id="f", flow_revision=1, state=Lifecycle.begin(NOW))
    view = ExecutionView(flow, execution, (), flows.resolve)
    waiting: list[object] = [Started()]
    while waiting:
        decision = step(view, waiting.pop(), NOW, ids.__next__, flows.resolve)  # type: ignore[arg-type]
        view.apply(decision)
        for command in decision.commands:
            if isinstance(command, Evaluate):
                waiting.append(Evaluated(command.task_run_id, command.question, dict(command.templates)))
            elif isinstance(command, Run):
                ended = Outcome(task_run_id=command.run.id, execution_id="e", lease=1, at=NOW, state="SUCCESS", outputs={"value": f"out-{command.run.value}"})
                waiting.append(RunEnded(ended))
    last = view.runs[-1]
    template = "{{ outputs.t[taskrun.value].value }} {{ outputs.t.a.value }} {{ outputs.t | length }}"
    context = Dispatcher(Settings(), RunTokens(b"x" * 32), flows).head_context(view, last, template)
    assert Renderer().render(template, context) == "out-b out-a 2"
