"""Giving values to later tasks."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, RunContext, Task


class OutputValues(Task):
    """Render a map of values and give it back as the output `values`."""

    values: Dynamic[Parsed[Mapping[str, Json]]] = Field(
        description="The values by name; structures are rendered through.", examples=[{"total": "{{ outputs.count.value }}"}]
    )

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return {"values": ctx.render(self.values)}
