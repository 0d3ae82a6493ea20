"""Metrics that a flow reports itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, PluginModel, RunContext, Task, Text, text_of


class Metric(PluginModel):
    """One measured value."""

    type: Literal["counter", "timer", "gauge"]
    name: Dynamic[Text]
    value: Dynamic[float]
    tags: Dynamic[Parsed[Mapping[str, Json]]] | None = None


class Publish(Task):
    """Report metrics of the running execution; a timer's value is in seconds."""

    metrics: Sequence[Metric] = Field(
        min_length=1,
        description="Each with `type` (counter, timer or gauge), `name`, `value` and, if wanted, `tags`.",
        examples=[[{"type": "counter", "name": "rows", "value": "{{ outputs.load.size }}", "tags": {"table": "orders"}}]],
    )

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        for metric in self.metrics:
            tags = {name: text_of(value) for name, value in (ctx.render(metric.tags) or {}).items()}
            ctx.metric(metric.type, ctx.render(metric.name), ctx.render(metric.value), tags)
        return {}
