"""Conditions on the execution that a trigger hears of, and on the flow that the trigger stands in."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, field_validator

from orchestrator.sdk import Condition, ConditionContext, Dynamic, ExecutionFacts, Json, Label, State, Text, labels_of, truthy


def execution_of(ctx: ConditionContext) -> ExecutionFacts:
    """The execution in question. Raises ValueError where there is none."""
    if ctx.execution is None:
        raise ValueError("this condition is about an execution, and there is none here")
    return ctx.execution


class Comparison(StrEnum):
    EQUALS = "EQUALS"
    PREFIX = "PREFIX"
    SUFFIX = "SUFFIX"

    def holds(self, text: str, wanted: str) -> bool:
        match self:
            case Comparison.EQUALS:
                return text == wanted
            case Comparison.PREFIX:
                return text.startswith(wanted)
        return text.endswith(wanted)


class ExecutionFlow(Condition):
    """Holds for executions of one flow."""

    namespace: Dynamic[Text] = Field(description="The namespace of the flow.")
    flow_id: Dynamic[Text] = Field(description="The id of the flow.")

    def test(self, ctx: ConditionContext) -> bool:
        found = execution_of(ctx)
        return (found.namespace, found.flow_id) == (ctx.render(self.namespace), ctx.render(self.flow_id))


class ExecutionNamespace(Condition):
    """Holds for executions in a namespace, or in those whose names begin or end so."""

    namespace: Dynamic[Text] = Field(description="The namespace, or a part of its name.", examples=["company.team"])
    comparison: Comparison | None = Field(None, description="How names are compared; EQUALS by default, PREFIX with `prefix`.")
    prefix: bool = Field(False, description="Whether names that begin so count; `comparison` goes first.")

    def test(self, ctx: ConditionContext) -> bool:
        comparison = self.comparison or (Comparison.PREFIX if self.prefix else Comparison.EQUALS)
        return comparison.holds(execution_of(ctx).namespace, ctx.render(self.namespace))


class ExecutionLabels(Condition):
    """Holds for executions that have all of these labels."""

    labels: Json = Field(description="A map, or a list of `key` and `value`.", examples=[{"team": "data"}])

    @field_validator("labels")
    @classmethod
    def _readable(cls, value: Json) -> Json:
        if not labels_of(value):
            raise ValueError("must name a label")
        return value

    def test(self, ctx: ConditionContext) -> bool:
        found = execution_of(ctx).labels
        return all(Label(key=label.key, value=ctx.render(label.value)) in found for label in labels_of(self.labels))


class ExecutionOutputs(Condition):
    """Holds when an expression over the outputs of the execution's flow, as `trigger.outputs`, is true. Without outputs it never does."""

    expression: Text = Field(description="An expression.", examples=["{{ trigger.outputs.count > 0 }}"])

    def test(self, ctx: ConditionContext) -> bool:
        outputs = execution_of(ctx).outputs
        return bool(outputs) and truthy(ctx.with_variables({"trigger": {"outputs": dict(outputs)}}).render_text(self.expression))


class ExecutionStatus(Condition):
    """Holds for executions that are in one of the states `in`, and in none of `notIn`."""

    in_: tuple[State, ...] | None = Field(None, alias="in", description="One of these it must be in.", examples=[["SUCCESS"]])
    not_in: tuple[State, ...] | None = Field(None, description="None of these it may be in.")

    def test(self, ctx: ConditionContext) -> bool:
        state = execution_of(ctx).state
        return (self.in_ is None or state in self.in_) and (self.not_in is None or state not in self.not_in)


class HasRetryAttempt(Condition):
    """Holds for executions of which a task was tried again, and an attempt ended in one of the states `in` and in none of `notIn`."""

    in_: tuple[State, ...] | None = Field(None, alias="in", description="States of attempts that count.", examples=[["FAILED"]])
    not_in: tuple[State, ...] | None = Field(None, description="States of attempts that do not count.")

    def test(self, ctx: ConditionContext) -> bool:
        retried = (attempts for attempts in execution_of(ctx).attempts if len(attempts) > 1)
        return any(state in (self.in_ or ()) and state not in (self.not_in or ()) for attempts in retried for state in attempts)


class FlowCondition(Condition):
    """Holds in one flow: of use where conditions come from defaults."""

    namespace: Dynamic[Text]
    flow_id: Dynamic[Text]

    def test(self, ctx: ConditionContext) -> bool:
        return (ctx.namespace, ctx.flow_id) == (ctx.render(self.namespace), ctx.render(self.flow_id))


class FlowNamespaceCondition(Condition):
    """Holds in flows of a namespace, with `prefix` in those of namespaces whose names begin so."""

    namespace: Dynamic[Text]
    prefix: bool = False

    def test(self, ctx: ConditionContext) -> bool:
        comparison = Comparison.PREFIX if self.prefix else Comparison.EQUALS
        return comparison.holds(ctx.namespace, ctx.render(self.namespace))


class Expression(Condition):
    """Holds when an expression comes out as anything but blank or `false`."""

    expression: Text = Field(description="An expression.", examples=["{{ trigger.body.hello == 'world' }}"])

    def test(self, ctx: ConditionContext) -> bool:
        return ctx.render_text(self.expression).strip() not in ("", "false")
