"""Several things that must come together within a window of time before a trigger fires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Protocol, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from orchestrator.model.values import Duration, Json
from orchestrator.sdk.condition import ConditionContext
from orchestrator.sdk.plugin import PluginModel

DAY = timedelta(days=1)


def _time(value: object) -> object:
    """`09:00`, `09:00:00`; YAML may have read `09:00:00` as text already, `9:00` never as a number."""
    return time.fromisoformat(value) if isinstance(value, str) else value


TimeOfDay = Annotated[time, BeforeValidator(_time), PlainSerializer(lambda at: at.isoformat(), return_type=str)]


class WindowKind(StrEnum):
    """How a window of time lies on the clock."""

    DURATION = "DURATION_WINDOW"  # one after the other, from midnight
    SLIDING = "SLIDING_WINDOW"  # from the first thing that comes
    DAILY_DEADLINE = "DAILY_TIME_DEADLINE"  # from midnight to a time of every day
    DAILY = "DAILY_TIME_WINDOW"  # between two times of every day


_MAY_HAVE: Mapping[WindowKind, tuple[str, ...]] = {
    WindowKind.DURATION: ("window", "window_advance"),
    WindowKind.SLIDING: ("window",),
    WindowKind.DAILY_DEADLINE: ("deadline",),
    WindowKind.DAILY: ("start_time", "end_time"),
}
_MUST_HAVE: Mapping[WindowKind, tuple[str, ...]] = {WindowKind.DAILY_DEADLINE: ("deadline",), WindowKind.DAILY: ("start_time", "end_time")}
_CALLED = {"window": "a window", "window_advance": "a window advance", "deadline": "a deadline", "start_time": "a start time", "end_time": "an end time"}


class TimeWindow(PluginModel):
    """A stretch of time. Without `window` it lasts a day; times of day are in `timezone`, by default the server's own."""

    type: WindowKind = Field(WindowKind.DURATION, description="How the window lies on the clock.")
    window: Duration | None = Field(None, description="How long it lasts; a day by default.", examples=["PT6H"])
    window_advance: Duration | None = Field(None, description="Shifts the start of a DURATION_WINDOW.", examples=["PT4H30M"])
    deadline: TimeOfDay | None = Field(None, description="Of a DAILY_TIME_DEADLINE.", examples=["09:00:00"])
    start_time: TimeOfDay | None = Field(None, description="Of a DAILY_TIME_WINDOW.", examples=["06:00:00"])
    end_time: TimeOfDay | None = Field(None, description="Of a DAILY_TIME_WINDOW.", examples=["09:00:00"])
    timezone: str | None = Field(None, description="The time zone of midnight and of the times of day.", examples=["Europe/Paris"])

    @model_validator(mode="after")
    def _fits(self) -> TimeWindow:
        problems = [f"cannot have {_CALLED[name]}." for name in _CALLED if getattr(self, name) is not None and name not in _MAY_HAVE[self.type]]
        problems += [f"must have {_CALLED[name]}." for name in _MUST_HAVE.get(self.type, ()) if getattr(self, name) is None]
        if problems:
            raise ValueError("; ".join(f"Time window of type `{self.type.value}` {problem}" for problem in problems))
        if self.window is not None and self.window <= timedelta(0):
            raise ValueError("`window` must be longer than nothing")
        return self


class Testable(Protocol):
    """What can be tested as a condition is."""

    def test(self, ctx: ConditionContext) -> bool: ...


Part: TypeAlias = Testable | Mapping[str, Json]
"""A condition, built or as written."""


@dataclass(frozen=True)
class Gathering:
    """What must come together: `needed` of the named parts (None: all) within one window.

    With `reset` it begins anew once it has come together; else it is complete with everything more that comes.
    """

    id: str
    parts: Mapping[str, Part]
    window: TimeWindow = field(default_factory=TimeWindow)
    needed: int | None = None
    reset: bool = True

    def complete(self, met: frozenset[str]) -> bool:
        """Whether these parts are enough."""
        return len(met & self.parts.keys()) >= (len(self.parts) if self.needed is None else self.needed)
