"""What an execution that has reached a state is to those who hear of it: facts for conditions, variables for templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from orchestrator.engine.variables import nested
from orchestrator.engine.view import ExecutionView
from orchestrator.model.state import State
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime.trigger_firing import CORRELATION
from orchestrator.sdk import ExecutionFacts


@dataclass(frozen=True)
class News:
    """Made out once for all who hear of it."""

    view: ExecutionView
    state: State

    @property
    def id(self) -> str:
        return self.view.execution.id

    @property
    def correlation(self) -> str | None:
        """What an execution that is started for it correlates with."""
        return next((label.value for label in self.view.execution.labels if label.key == CORRELATION), None)

    @cached_property
    def facts(self) -> ExecutionFacts:
        """What conditions may ask."""
        execution = self.view.execution
        return ExecutionFacts(
            namespace=execution.namespace,
            flow_id=execution.flow_id,
            state=self.state,
            labels=execution.labels,
            outputs=execution.outputs,
            attempts=tuple(tuple(attempt.state.current for attempt in run.attempts) for run in self.view.runs if len(run.attempts) > 1),
        )

    @cached_property
    def variables(self) -> Mapping[str, Json]:
        """`trigger.*` of an execution that is started for it."""
        execution, runs = self.view.execution, self.view.runs
        found: dict[str, Json] = {
            "executionId": execution.id,
            "executionLabels": nested(label for label in execution.labels if label.key != CORRELATION),
            "namespace": execution.namespace,
            "flowId": execution.flow_id,
            "flowRevision": execution.flow_revision,
            "state": self.state.value,
            "startDate": format_instant(execution.state.start),
        }
        known = {
            "endDate": format_instant(execution.state.end) if execution.state.end is not None else None,
            "firstFailedTaskId": next((run.task_id for run in runs if run.state.current.failed), None),
            "lastTaskId": runs[-1].task_id if runs else None,
            "outputs": dict(execution.outputs) or None,
        }
        return found | {name: value for name, value in known.items() if value is not None}
