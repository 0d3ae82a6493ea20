"""Which executions a Flow trigger waits for: those of named flows, or those that filters let pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Literal

import regex
from pydantic import Field, model_validator

from orchestrator.sdk import ConditionContext, ExecutionFacts, Json, Label, PluginModel, State, labels_of, truthy
from orchestrator_plugins.core.execution_conditions import execution_of

PATTERN_TIME = 1.0  # seconds that a pattern may take


class Upstream(PluginModel):
    """Executions of a flow (without `flowId`: of all in the namespace) in some states, with labels."""

    namespace: str | None = Field(None, description="The namespace of the flow.")
    flow_id: str | None = Field(None, description="The id of the flow; without it all in the namespace count.")
    states: tuple[State, ...] | None = Field(None, description="The states that count; by default all that the trigger hears of.", examples=[["SUCCESS"]])
    labels: Json = Field(None, description="Labels that the execution must have.", examples=[{"team": "data"}])
    when: str | bool = Field(True, description="An expression that must be true.")

    @property
    def name(self) -> tuple[str, str] | None:
        """The flow, if it is a certain one."""
        return (self.namespace, self.flow_id) if self.namespace is not None and self.flow_id is not None else None

    def test(self, ctx: ConditionContext) -> bool:
        """Whether an execution is one of these."""
        found = execution_of(ctx)
        return (
            self.namespace in (None, found.namespace)
            and self.flow_id in (None, found.flow_id)
            and (self.states is None or found.state in self.states)
            and all(Label(key=label.key, value=label.value) in found.labels for label in labels_of(self.labels))
            and (self.when if isinstance(self.when, bool) else truthy(ctx.render_text(self.when)))
        )


class FilterField(StrEnum):
    FLOW_ID = "FLOW_ID"
    NAMESPACE = "NAMESPACE"
    STATE = "STATE"
    EXPRESSION = "EXPRESSION"


class Check(StrEnum):
    """How what stands in a field is looked at."""

    EQUAL_TO = "EQUAL_TO"
    NOT_EQUAL_TO = "NOT_EQUAL_TO"
    IN = "IN"
    NOT_IN = "NOT_IN"
    IS_TRUE = "IS_TRUE"
    IS_FALSE = "IS_FALSE"
    IS_NULL = "IS_NULL"
    IS_NOT_NULL = "IS_NOT_NULL"
    STARTS_WITH = "STARTS_WITH"
    ENDS_WITH = "ENDS_WITH"
    REGEX = "REGEX"
    CONTAINS = "CONTAINS"


LISTED = frozenset({Check.IN, Check.NOT_IN})
_ON_TEXT: Mapping[Check, Callable[[str, str], bool]] = {
    Check.EQUAL_TO: lambda text, value: text == value,
    Check.NOT_EQUAL_TO: lambda text, value: text != value,
    Check.STARTS_WITH: str.startswith,
    Check.ENDS_WITH: str.endswith,
    Check.CONTAINS: lambda text, value: value in text,
    Check.REGEX: lambda text, value: regex.fullmatch(value, text, timeout=PATTERN_TIME) is not None,
}
_ALONE: Mapping[Check, Callable[[str], bool]] = {
    Check.IS_TRUE: truthy,
    Check.IS_FALSE: lambda text: not truthy(text),
    Check.IS_NULL: lambda text: not text.strip(),
    Check.IS_NOT_NULL: lambda text: bool(text.strip()),
}


class Filter(PluginModel):
    """One look at one field of an execution; of EXPRESSION, `value` is rendered and is what is looked at."""

    field: FilterField = Field(description="What to look at.")
    type: Check = Field(description="How.")
    value: str | None = Field(None, description="What to compare with; of EXPRESSION the expression itself.")
    values: tuple[str, ...] | None = Field(None, description="What to compare with, for IN and NOT_IN.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Filter:
        listed, alone = self.type in LISTED, self.type in _ALONE and self.field is not FilterField.EXPRESSION
        problems = {
            "`value` must be null for type {}": listed and self.value is not None,
            "`values` must not be null for type {}": listed and self.values is None,
            "`values` must be null for type {}": not listed and self.values is not None,
            "`value` must not be null for type {}": not listed and not alone and self.value is None,
        }
        for problem, there in problems.items():
            if there:
                raise ValueError(problem.format(self.type.value))
        return self

    def test(self, ctx: ConditionContext) -> bool:
        """Whether an execution passes. Raises ValueError for a pattern that cannot be read, TimeoutError for one that takes too long."""
        text = self._text(ctx, execution_of(ctx))
        if self.type in LISTED:
            return (text in (self.values or ())) is (self.type is Check.IN)
        if self.type in _ALONE:
            return _ALONE[self.type](text)
        try:
            return _ON_TEXT[self.type](text, self.value or "")
        except regex.error as err:
            raise ValueError(f"`{self.value}` is not a pattern: {err}") from err

    def _text(self, ctx: ConditionContext, found: ExecutionFacts) -> str:
        match self.field:
            case FilterField.FLOW_ID:
                return found.flow_id
            case FilterField.NAMESPACE:
                return found.namespace
            case FilterField.STATE:
                return found.state.value
        return ctx.render_text(self.value or "")


class Where(PluginModel):
    """Filters that together let an execution pass: all of them, or with `operand: OR` any."""

    id: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*", description="Under which it is kept that one has come.")
    operand: Literal["AND", "OR"] = "AND"
    filters: tuple[Filter, ...] = Field(min_length=1)

    def test(self, ctx: ConditionContext) -> bool:
        """Whether an execution passes."""
        found = (one.test(ctx) for one in self.filters)
        return all(found) if self.operand == "AND" else any(found)
