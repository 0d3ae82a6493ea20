"""Conditions made of others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import AliasChoices, Field, model_validator

from orchestrator.sdk import Condition, ConditionContext, Duration, Gathering, Json, TimeWindow


class Not(Condition):
    """Holds when none of its conditions does."""

    dated: ClassVar[bool] = True

    conditions: tuple[Mapping[str, Json], ...] = Field(min_length=1, description="Of which none may hold.")

    def test(self, ctx: ConditionContext) -> bool:
        return not any(ctx.holds(condition) for condition in self.conditions)


class Or(Condition):
    """Holds when one of its conditions does."""

    dated: ClassVar[bool] = True

    conditions: tuple[Mapping[str, Json], ...] = Field(min_length=1, description="Of which one must hold.")

    def test(self, ctx: ConditionContext) -> bool:
        return any(ctx.holds(condition) for condition in self.conditions)


class MultipleCondition(Condition):
    """Holds once all of its conditions have held within one window of time, each for an execution of its own or for the same. Older form of `preconditions`."""

    id: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*", description="Under which what has come is kept.")
    conditions: Mapping[str, Mapping[str, Json]] = Field(min_length=1, description="What must come together, by names of its own.")
    time_window: TimeWindow | None = Field(None, alias="timeWindow", validation_alias=AliasChoices("timeWindow", "timeSLA", "sla"))
    reset_on_success: bool = Field(True, description="Whether it begins anew once it has held.")
    window: Duration | None = Field(None, description="Older form of `timeWindow.window`.")
    window_advance: Duration | None = Field(None, description="Older form of `timeWindow.windowAdvance`.")

    @model_validator(mode="after")
    def _one_window(self) -> MultipleCondition:
        if self.time_window is not None and (self.window is not None or self.window_advance is not None):
            raise ValueError("`window` and `windowAdvance` are written within `timeWindow` when that is given")
        return self

    def gathering(self) -> Gathering:
        """What must come together."""
        window = self.time_window or TimeWindow(window=self.window, window_advance=self.window_advance)
        return Gathering(id=self.id, parts=self.conditions, window=window, reset=self.reset_on_success)

    def test(self, ctx: ConditionContext) -> bool:
        raise ValueError("a MultipleCondition is for Flow triggers: what it waits for is executions")
