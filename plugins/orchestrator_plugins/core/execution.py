"""Tasks that act on the execution they run in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, RunContext, State, Task, TaskFailed, Text, labels_of, text_of, truthy

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
