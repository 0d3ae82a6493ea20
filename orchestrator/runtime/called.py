"""The execution that a task run starts: its id, its inputs and labels, and how it is known again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator import registry
from orchestrator.engine.variables import nested
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import TaskFailed
from orchestrator.lang import inputs as inputs_of
from orchestrator.model.execution import Execution, ExecutionTrigger, Metadata, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.new_ids import derived_id
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Json, Label
from orchestrator.sdk import Call

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor

DEEPEST = 100  # executions that start each other, one below the other
CORRELATION = "system.correlationId"
_EXECUTION, _RUN = "executionId", "taskRunId"  # the variables of its trigger that say who called an execution


def called_id(run_id: str, generation: int, number: int) -> str:
    """The id of the execution that a task run starts under a generation: the same however often it is asked for."""
    return derived_id(run_id, generation, number)


def called_ids(run: TaskRun, number: int) -> list[str]:
    """The ids that the execution of a call may have, the latest first: a run that began again may have kept what it had started."""
    since = run.calls_since if run.calls_since is not None else run.generation
    return [called_id(run.id, generation, number) for generation in range(run.generation, since - 1, -1)]


def caller_of(execution: Execution) -> tuple[str, str] | None:
    """The execution and the task run that started an execution; None when no task did."""
    given = execution.trigger.variables if execution.trigger is not None else {}
    return (str(given[_EXECUTION]), str(given[_RUN])) if _EXECUTION in given and _RUN in given else None


@dataclass(frozen=True)
class Caller:
    """The run that calls, and which of its calls it is; `number` counts from 0, None: the only one."""

    view: ExecutionView
    run: TaskRun
    number: int | None = None


class Called:
    """Makes the executions. `executor` gives flows, rendering and sealing."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def execution(self, call: Call, caller: Caller, now: datetime) -> tuple[Flow, Execution]:
        """The flow called and its new execution. Raises TaskFailed for what the caller must mend, InputInvalid for its inputs."""
        flow, above = self._flow(call), caller.view.execution
        depth = (above.metadata.depth or 0) + 1
        if depth > DEEPEST:
            raise TaskFailed(f"{DEEPEST} executions have started each other, one below the other: flow {flow.namespace}.{flow.id} is not started again")
        execution_id = called_id(caller.run.id, caller.run.generation, caller.number or 0)
        trigger, labels = _trigger(caller), _labels(call, flow, above, execution_id)
        return flow, Execution(
            id=execution_id,
            namespace=flow.namespace,
            flow_id=flow.id,
            flow_revision=flow.revision,
            inputs=self._inputs(flow, call, trigger, labels, execution_id),
            labels=labels,
            state=Lifecycle.begin(now, State.CREATED),
            original_id=execution_id,
            trigger=trigger,
            metadata=Metadata(original_created_date=now, depth=depth),
            schedule_date=call.schedule_date,
            version=1,
        )

    def _flow(self, call: Call) -> Flow:
        saved = self._executor.flows.saved(call.namespace, call.flow_id, call.revision)
        if saved is None or saved.flow.deleted:
            revision = f" with revision {call.revision}" if call.revision is not None else ""
            raise TaskFailed(f"Unable to find flow '{call.namespace}'.'{call.flow_id}'{revision}")
        if saved.flow.disabled:
            raise TaskFailed(f"Flow '{call.namespace}'.'{call.flow_id}' is disabled: it cannot be started")
        return saved.flow

    def _inputs(self, flow: Flow, call: Call, trigger: ExecutionTrigger, labels: tuple[Label, ...], execution_id: str) -> dict[str, Json]:
        settings = self._executor.settings
        variables = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": flow.revision},
            "vars": dict(flow.variables),
            "labels": nested(labels),
            "execution": {"id": execution_id},
            "trigger": dict(trigger.variables),
            "globals": dict(settings.globals),
            "envs": dict(settings.envs),
        }
        renderer, seal = self._executor.head_renderer, self._executor.dispatcher.seal
        return inputs_of.resolve(flow, call.inputs, {}, renderer=renderer, variables=variables, seal=seal)


def _trigger(caller: Caller) -> ExecutionTrigger:
    run, above = caller.run, caller.view.execution
    given: Mapping[str, Json] = {
        _EXECUTION: above.id,
        "namespace": above.namespace,
        "flowId": above.flow_id,
        "flowRevision": above.flow_revision,
        _RUN: run.id,
        "taskId": run.task_id,
        "taskRunValue": run.value,
        "taskRunIteration": caller.number if caller.number is not None else run.iteration,
    }
    name = caller.view.spec(run).type
    return ExecutionTrigger(
        id=run.task_id, type=registry.full_name("task", name) or name, variables={key: value for key, value in given.items() if value is not None}
    )


def _labels(call: Call, flow: Flow, above: Execution, execution_id: str) -> tuple[Label, ...]:
    """Those handed down, then the flow's own, then those of the call; and by which chain of executions it belongs together."""
    handed = {label.key: label.value for label in above.labels}
    found = {key: value for key, value in handed.items() if call.inherit_labels and not key.startswith("system.")}
    found.update((label.key, label.value) for label in (*flow.labels, *call.labels))
    found[CORRELATION] = handed.get(CORRELATION, above.id)
    return tuple(Label(key=key, value=value) for key, value in found.items())
