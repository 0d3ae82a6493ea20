"""A trigger that hears of the executions of other flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, model_validator

from orchestrator.sdk import Duration, Gathering, Json, ListeningTrigger, Part, PluginModel, State, TimeOfDay, TimeWindow, WindowKind
from orchestrator_plugins.core.combined_conditions import MultipleCondition
from orchestrator_plugins.core.upstream import Upstream, Where

HEARD = (*(state for state in State if state.ended), State.PAUSED)


class Preconditions(PluginModel):
    """Executions that must all come within one window of time."""

    id: str = Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]*", description="Under which what has come is kept.")
    time_window: TimeWindow | None = Field(None, description="The window of time; a day from midnight by default.")
    reset_on_success: bool = Field(True, description="Whether it begins anew once all have come; else each more that comes starts an execution.")
    flows: tuple[Upstream, ...] = Field((), description="Flows of which an execution must come, each.")
    where: tuple[Where, ...] = Field((), description="Filters, of which each must let an execution pass.")

    @model_validator(mode="after")
    def _something(self) -> Preconditions:
        if not self.flows and not self.where:
            raise ValueError("preconditions: `flows` or `where` must name something to wait for")
        return self

    def gathering(self) -> Gathering:
        """What must come together."""
        parts: dict[str, Part] = {f"condition_{at}": flow for at, flow in enumerate(self.flows, 1)}
        parts |= {f"condition_{one.id}": one for one in self.where}
        return Gathering(id=self.id, parts=parts, window=self.time_window or TimeWindow(), reset=self.reset_on_success)


class Window(PluginModel):
    """The newer way to write a window of time: which properties are there says how it lies."""

    deadline: TimeOfDay | None = None
    from_: TimeOfDay | None = Field(None, alias="from")
    to: TimeOfDay | None = None
    every: Duration | None = None
    offset: Duration | None = None
    lookback: Duration | None = None
    timezone: str | None = None
    fire_once: bool = Field(False, description="Whether it begins anew once all have come.")

    @model_validator(mode="after")
    def _one_kind(self) -> Window:
        kinds = (self.deadline, self.from_ or self.to, self.every or self.offset, self.lookback)
        if sum(kind is not None for kind in kinds) > 1:
            raise ValueError("window: give one of `deadline`, `from` with `to`, `every` with `offset`, or `lookback`")
        if (self.from_ is None) != (self.to is None):
            raise ValueError("window: `from` and `to` go together")
        return self

    def as_time_window(self) -> TimeWindow:
        if self.deadline is not None:
            return TimeWindow(type=WindowKind.DAILY_DEADLINE, deadline=self.deadline, timezone=self.timezone)
        if self.from_ is not None:
            return TimeWindow(type=WindowKind.DAILY, start_time=self.from_, end_time=self.to, timezone=self.timezone)
        if self.lookback is not None:
            return TimeWindow(type=WindowKind.SLIDING, window=self.lookback, timezone=self.timezone)
        return TimeWindow(window=self.every, window_advance=self.offset, timezone=self.timezone)


class Flow(ListeningTrigger):
    """Start an execution when executions of other flows reach a state: one that lets all conditions pass, or all that are waited for."""

    states: tuple[State, ...] = Field(HEARD, min_length=1, description="The states it hears of; by default those of an end, and PAUSED.")
    preconditions: Preconditions | None = Field(None, description="Executions that must all come within a window of time.")
    depends_on: tuple[Upstream, ...] = Field((), description="Newer form of `preconditions.flows`.")
    window: Window | None = Field(None, description="The window of time of `dependsOn`.")
    mode: Literal["ALL", "ANY", "AT_LEAST"] = Field("ALL", description="How many of `dependsOn` must come.")
    min_satisfied: int | None = Field(None, gt=0, description="How many with `mode: AT_LEAST`.")

    @model_validator(mode="after")
    def _enough(self) -> Flow:
        if (self.mode == "AT_LEAST") != (self.min_satisfied is not None):
            raise ValueError("`mode: AT_LEAST` and `minSatisfied` go together")
        if self.min_satisfied is not None and self.min_satisfied > len(self.depends_on):
            raise ValueError(f"`minSatisfied` is {self.min_satisfied}, and `dependsOn` names {len(self.depends_on)}")
        return self

    @property
    def heard_states(self) -> frozenset[State]:
        return frozenset(self.states)

    def gatherings(self) -> Sequence[Gathering]:
        found = [self.preconditions.gathering()] if self.preconditions is not None else []
        if self.depends_on:
            needed = {"ALL": None, "ANY": 1, "AT_LEAST": self.min_satisfied}[self.mode]
            parts = {f"depends_on_{at}": one for at, one in enumerate(self.depends_on)}
            window = self.window or Window(fire_once=True)
            found.append(Gathering(id=f"depends_on_{self.id}", parts=parts, window=window.as_time_window(), needed=needed, reset=window.fire_once))
        return [*found, *(MultipleCondition.model_validate(dict(raw)).gathering() for raw in self.conditions if is_multiple(raw))]

    def heard_flows(self) -> frozenset[tuple[str, str]] | None:
        conditioned = frozenset(name for raw in self.conditions if (name := _named(raw)) is not None)
        if conditioned:
            return conditioned
        if any(is_multiple(raw) for raw in self.conditions) or (self.preconditions is not None and self.preconditions.where):
            return None
        waited_for = [*(self.preconditions.flows if self.preconditions is not None else ()), *self.depends_on]
        names = [one.name for one in waited_for]
        return frozenset(name for name in names if name is not None) if names and None not in names else None


def is_multiple(raw: Mapping[str, Json]) -> bool:
    """Whether a condition gathers."""
    return str(raw.get("type", "")).endswith("MultipleCondition")


def _named(raw: Mapping[str, Json]) -> tuple[str, str] | None:
    """The flow that a condition lets pass alone, if it says so without a template."""
    if not str(raw.get("type", "")).endswith(("ExecutionFlow", "ExecutionFlowCondition")):
        return None
    names = (raw.get("namespace"), raw.get("flowId"))
    return (str(names[0]), str(names[1])) if all(isinstance(name, str) and "{" not in name for name in names) else None
