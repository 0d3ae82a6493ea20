"""How many executions there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, PluginModel, RunContext, State, Task, TaskFailed, Text


class CountedFlow(PluginModel):
    """A flow whose executions are counted; without an id all flows of the namespace and of those below it."""

    namespace: Dynamic[Text]
    flow_id: Dynamic[Text] | None = None


class Count(Task):
    """Count executions per flow; only the flows for which the expression gives `true` stay in the result."""

    flows: tuple[CountedFlow, ...] | None = Field(None, description="The flows whose executions are counted.")
    namespaces: Dynamic[Parsed[Sequence[str]]] | None = Field(None, description="Namespaces whose executions are counted, with those below them.")
    states: Dynamic[Parsed[Sequence[State]]] | None = Field(None, description="Only executions in these states.")
    start_date: Dynamic[Text] | None = Field(None, description="Only executions begun at this date-time or after it.")
    end_date: Dynamic[Text] | None = Field(None, description="Only executions begun at this date-time or before it.")
    expression: Dynamic[Text] = Field(description="Whether a flow stays, told from its `count`.", examples=["{{ count >= 5 }}"])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        bounds: Any = {
            "states": [str(getattr(state, "value", state)) for state in ctx.render(self.states) or ()],
            "start": ctx.render(self.start_date),
            "end": ctx.render(self.end_date),
        }
        results: list[dict[str, Json]] = []
        for namespace, flow_id in self._asked(ctx):
            number = ctx.records.count(namespace, flow_id, **bounds)
            if ctx.with_variables({"count": number}).render(self.expression).strip() == "true":
                results.append({"namespace": namespace, **({"flowId": flow_id} if flow_id else {}), "count": number})
        return {"results": results, "total": sum(int(result["count"]) for result in results)}

    def _asked(self, ctx: RunContext) -> list[tuple[str, str | None]]:
        flows: list[tuple[str, str | None]] = [(ctx.render(flow.namespace), ctx.render(flow.flow_id)) for flow in self.flows or ()]
        asked = flows + [(namespace, None) for namespace in ctx.render(self.namespaces) or ()]
        if not asked:
            raise TaskFailed("one of `flows` and `namespaces` is needed")
        return asked
