"""Renders what decisions hang on: at once where that needs nothing but variables, on a thread where it reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from orchestrator.engine.aftermath import LISTENING
from orchestrator.engine.endings import OUTPUTS
from orchestrator.engine.events import Evaluate, Evaluated, Event
from orchestrator.engine.sla import SLA
from orchestrator.errors import ExpressionFailed, OrchestratorError
from orchestrator.lang.conditions import Conditions, Judge
from orchestrator.lang.expressions import NeedsServices, Renderer
from orchestrator.lang.outputs import resolve_outputs
from orchestrator.runtime.dispatching import Dispatcher
from orchestrator.runtime.live import Live
from orchestrator.sdk import ExecutionFacts


class Evaluating:
    """`rich` has services and may block; what it finds is told through `answered`."""

    def __init__(self, *, dispatcher: Dispatcher, rich: Renderer, answered: Callable[[Live, Event], None]) -> None:
        self._dispatcher, self._plain, self._rich, self._answered = dispatcher, Renderer(), rich, answered
        self._apart: set[asyncio.Task[None]] = set()

    def evaluate(self, live: Live, command: Evaluate) -> Event | None:
        """The answer; None when it needs services and comes later through `answered`."""
        run = live.view.run(command.task_run_id) if command.task_run_id is not None else None
        context = self._dispatcher.head_context(live.view, run, command.templates)
        try:
            return Evaluated(command.task_run_id, command.question, self._answers(self._plain, live, command, context))
        except NeedsServices:
            self._apart.add(task := asyncio.create_task(self._on_a_thread(live, command, context)))
            task.add_done_callback(self._apart.discard)
            return None
        except OrchestratorError as err:
            return Evaluated(command.task_run_id, command.question, error=str(err))

    def _answers(self, renderer: Renderer, live: Live, command: Evaluate, context: dict[str, Any]) -> dict[str, Any]:
        """The templates rendered; of a flow's outputs, read as the types they declare. Raises OrchestratorError."""
        if command.question == SLA:
            return {"assertions": self._assertions(renderer, command.templates["assertions"], context)}
        if command.question == LISTENING:
            return self._meant(renderer, live, context)
        rendered = {name: renderer.render_any(template, context) for name, template in command.templates.items()}
        return resolve_outputs(live.view.flow, rendered, seal=self._dispatcher.seal) if command.question == OUTPUTS else rendered

    def _assertions(self, renderer: Renderer, templates: Mapping[str, str], context: dict[str, Any]) -> dict[str, Any]:
        """Those that can be rendered: what one names may be yet to come."""
        found = {}
        for key, template in templates.items():
            with suppress(ExpressionFailed):
                found[key] = renderer.render_any(template, context)
        return found

    def _meant(self, renderer: Renderer, live: Live, context: dict[str, Any]) -> dict[str, Any]:
        """Which listeners are meant by the end of the execution. Raises OrchestratorError."""
        flow, execution = live.view.flow, live.view.execution
        attempts = tuple(tuple(attempt.state.current for attempt in run.attempts) for run in live.view.runs)
        facts = ExecutionFacts(
            namespace=flow.namespace, flow_id=flow.id, state=execution.current, labels=execution.labels, outputs=execution.outputs, attempts=attempts
        )
        judge = Judge(renderer, context, flow=flow.key, execution=facts)
        return {str(at): Conditions(listener.conditions).hold(judge) for at, listener in enumerate(flow.listeners)}

    async def _on_a_thread(self, live: Live, command: Evaluate, context: dict[str, Any]) -> None:
        try:
            answers = await asyncio.to_thread(self._answers, self._rich, live, command, context)
            event = Evaluated(command.task_run_id, command.question, answers)
        except OrchestratorError as err:
            event = Evaluated(command.task_run_id, command.question, error=str(err))
        self._answered(live, event)
