"""Tasks that act on the execution they run in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import Field

from orchestrator.sdk import Dynamic, ExitState, Json, Parsed, RunContext, State, Task, TaskFailed, Template, Text, labels_of, text_of, truthy

EXIT_STATES: tuple[ExitState, ...] = get_args(ExitState)
SYSTEM = "system."  # labels of this prefix are the engine's own


class Labels(Task):
    """Put labels on the running execution; a label that is there already is replaced."""

    labels: Dynamic[Parsed[Mapping[str, Json] | Sequence[Mapping[str, Json]]]] = Field(
        description="A map of labels, or a list of `key` and `value`; numbers and booleans become text.",
        examples=[{"country": "{{ inputs.country }}"}],
    )

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        try:
            found = {label.key: label.value for label in labels_of(ctx.render(self.labels))}
        except ValueError as err:
            raise TaskFailed(f"labels cannot be read: {err}") from err
        for key, value in found.items():
            if key.startswith(SYSTEM):
                raise TaskFailed(f"System labels can only be set by Kestra itself, offending label: {key}={value}")
        ctx.set_labels(found)
        return {}


class SetVariables(Task):
    """Put variables on the running execution: `{{ vars.name }}` in all that runs after this. A map is merged into the map that is there."""

    variables: Dynamic[Parsed[Mapping[str, Json]]] = Field(description="The values by name.", examples=[{"batch": "{{ outputs.next.value }}"}])
    overwrite: Dynamic[bool] = Field(True, description="Whether variables that are there already may be replaced; else the task fails and sets none.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        ctx.set_variables(ctx.render(self.variables), overwrite=ctx.render(self.overwrite))
        return {}


class UnsetVariables(Task):
    """Take variables off the running execution."""

    variables: Dynamic[Parsed[Sequence[str]]] = Field(description="Their names.", examples=[["batch"]])
    ignore_missing: Dynamic[bool] = Field(False, description="Whether names that are not there are passed over; else the task fails and unsets none.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        ctx.unset_variables(tuple(text_of(name) for name in ctx.render(self.variables)), ignore_missing=ctx.render(self.ignore_missing))
        return {}


class Exit(Task):
    """End the running execution here: nothing new begins in it but its `finally`, and what runs beside may end."""

    state: Dynamic[Text] = Field(
        "SUCCESS", description="What it ends in: SUCCESS, WARNING, FAILED, CANCELLED or KILLED, which stops what runs.", examples=["WARNING"]
    )

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        asked = ctx.render(self.state).strip().upper()
        state = next((one for one in EXIT_STATES if one == ("CANCELLED" if asked == "CANCELED" else asked)), None)
        if state is None:
            raise TaskFailed(f"`state` must be one of {', '.join(EXIT_STATES)}, not '{asked}'")
        ctx.end_execution(state)
        return {}


class Assert(Task):
    """Fail when what must hold does not: every condition is looked at, and those that do not hold are logged."""

    conditions: Sequence[Dynamic[bool | Text]] = Field(min_length=1, description="What must hold.", examples=[["{{ outputs.load.rows > 0 }}"]])
    error_message: Dynamic[Text] | None = Field(None, description="What to fail with, in place of how many conditions do not hold.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        broken = [condition for condition in self.conditions if not truthy(ctx.render(condition))]
        counts: dict[str, Json] = {"failed": len(broken), "success": len(self.conditions) - len(broken)}
        ctx.metric("counter", "failed", len(broken))
        ctx.metric("counter", "success", len(self.conditions) - len(broken))
        for condition in broken:
            ctx.logger.error(f"Assertion failed: {condition.source if isinstance(condition, Template) else text_of(condition)}")
        if broken:
            message = ctx.render(self.error_message) or f"{len(broken)} of {len(self.conditions)} assertions failed"
            raise TaskFailed(message, outputs=counts)
        return counts


class Resume(Task):
    """Let another execution go on that is paused."""

    execution_id: Dynamic[Text] = Field(description="Which execution.", examples=["{{ trigger.executionId }}"])
    inputs: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(None, description="The values that its Pause asks for on resume.")
    namespace: Dynamic[Text] | None = Field(None, description="Not needed: the id is enough.")
    flow_id: Dynamic[Text] | None = Field(None, description="Not needed: the id is enough.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        ctx.records.resume(ctx.render(self.execution_id), ctx.render(self.inputs) or {})
        return {}


class PurgeExecutions(Task):
    """Delete executions that have ended, with their logs, metrics and files. There is no way back."""

    namespace: Dynamic[Text] | None = Field(None, description="Of this namespace only; without `flowId` also of those below it.")
    flow_id: Dynamic[Text] | None = Field(None, description="Of this flow only.")
    states: Dynamic[Parsed[Sequence[State]]] | None = Field(None, description="Only those that ended in these states.", examples=[["SUCCESS", "KILLED"]])
    start_date: Dynamic[Text] | None = Field(None, description="Only those begun at this date-time or after it.")
    end_date: Dynamic[Text] = Field(description="Only those begun at this date-time or before it.", examples=["{{ now() | dateAdd(-1, 'MONTHS') }}"])
    purge_execution: Dynamic[bool] = Field(True, description="Whether the executions themselves go.")
    purge_log: Dynamic[bool] = Field(True, description="Whether their logs go.")
    purge_metric: Dynamic[bool] = Field(True, description="Whether their metrics go.")
    purge_storage: Dynamic[bool] = Field(True, description="Whether their files go.")
    batch_size: Dynamic[int] = Field(100, description="Taken, and without effect: the server chooses.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        which = {
            "namespace": ctx.render(self.namespace),
            "flowId": ctx.render(self.flow_id),
            "states": [text_of(state) for state in ctx.render(self.states) or ()],
            "startDate": ctx.render(self.start_date),
            "endDate": ctx.render(self.end_date),
        }
        what = {
            "execution": ctx.render(self.purge_execution),
            "logs": ctx.render(self.purge_log),
            "metrics": ctx.render(self.purge_metric),
            "storage": ctx.render(self.purge_storage),
        }
        gone = ctx.records.purge_executions(which, what)
        return {f"{name}Count": gone[name] for name in ("executions", "logs", "metrics", "storages")}


class Fail(Task):
    """Fail the execution, always or when a condition holds."""

    condition: Dynamic[bool | Text] | None = Field(None, description="Fail only when this renders to something true.", examples=["{{ inputs.count > 10 }}"])
    error_message: Dynamic[Text] = Field("Task failure", description="The message to fail with.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        if self.condition is None or truthy(ctx.render(self.condition)):
            raise TaskFailed(ctx.render(self.error_message))
        return {}
