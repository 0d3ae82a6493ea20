"""A task that enables a trigger, or disables it."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, NotFound, RunContext, Task, TaskFailed, Text


class Toggle(Task):
    """Enable a trigger, or disable it: of this flow, or of another."""

    trigger: Dynamic[Text] = Field(description="The id of the trigger.", examples=["schedule"])
    enabled: Dynamic[bool] = Field(False, description="Whether it is to be enabled; without it, it is disabled.")
    flow_id: Dynamic[Text] | None = Field(None, description="The id of its flow; this one by default.")
    namespace: Dynamic[Text] | None = Field(None, description="The namespace of its flow; this flow's by default.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        namespace = ctx.render(self.namespace) or ctx.info.namespace
        flow_id, trigger_id = ctx.render(self.flow_id) or ctx.info.flow_id, ctx.render(self.trigger)
        try:
            ctx.triggers.switch(namespace, flow_id, trigger_id, enabled=ctx.render(self.enabled))
        except NotFound as err:
            raise TaskFailed(f"Unable to find trigger {trigger_id} for the flow {namespace}.{flow_id}") from err
        return {}
