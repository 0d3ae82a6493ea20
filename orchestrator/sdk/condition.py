"""What a condition is to its author: properties, and a test of what has happened. The head asks it, so it does no work of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import Field

from orchestrator.model.state import State
from orchestrator.model.values import Frozen, Json, Label
from orchestrator.sdk.plugin import PluginModel
from orchestrator.sdk.template import Dynamic

T = TypeVar("T")


class ExecutionFacts(Frozen):
    """What conditions may ask of an execution. `attempts` holds, for every task run, the states of its attempts."""

    namespace: str
    flow_id: str
    state: State
    labels: tuple[Label, ...] = ()
    outputs: Mapping[str, Json] = Field(default_factory=dict)
    attempts: tuple[tuple[State, ...], ...] = ()


class ConditionContext(Protocol):
    """What a condition is tested on. `execution` is None where no execution is in question: a schedule's dates, a webhook's call.

    `namespace` and `flow_id` are those of the flow that the trigger stands in.
    """

    execution: ExecutionFacts | None
    namespace: str
    flow_id: str

    def render(self, value: Dynamic[T] | None) -> T:
        """A property's value. None stays None. Raises ExpressionFailed."""

    def render_text(self, expression: str) -> str:
        """An expression as the text it comes out as. Raises ExpressionFailed."""

    def with_variables(self, extra: Mapping[str, Any]) -> ConditionContext:
        """The same with more names for templates."""

    def holds(self, condition: Mapping[str, Json]) -> bool:
        """Whether another condition, as written, holds here. Raises what it raises."""


class Condition(PluginModel, ABC):
    """Whether something that has happened starts an execution. Raising is as good as no for most triggers; a schedule tells it.

    `dated`: it shapes the dates of a schedule, those before and after the present one too.
    """

    dated: ClassVar[bool] = False

    id: str | None = None
    type: str

    @abstractmethod
    def test(self, ctx: ConditionContext) -> bool:
        """Whether it holds. Raises ExpressionFailed, ValueError or ConditionFailed when that cannot be said."""

    def whole_days(self) -> bool:
        """Whether what it says of the trigger's date changes at midnight only."""
        return False
