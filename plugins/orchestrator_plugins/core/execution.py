"""Tasks that act on the execution they run in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, RunContext, Task, TaskFailed, Text, labels_of, truthy

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


class Fail(Task):
    """Fail the execution, always or when a condition holds."""

    condition: Dynamic[bool | Text] | None = Field(None, description="Fail only when this renders to something true.", examples=["{{ inputs.count > 10 }}"])
    error_message: Dynamic[Text] = Field("Task failure", description="The message to fail with.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        if self.condition is None or truthy(ctx.render(self.condition)):
            raise TaskFailed(ctx.render(self.error_message))
        return {}
