"""What a trigger is to its author: properties, and for those that look or listen, how."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from orchestrator.model.flow import PLACEMENT_ABOUT, PlacementChain, WorkerGroupRef, WorkerSelector
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json, parse_duration
from orchestrator.sdk.context import RunContext
from orchestrator.sdk.gathering import Gathering
from orchestrator.sdk.plugin import PluginModel


class Trigger(PluginModel):
    """The properties that every trigger has.

    Of an execution that it starts, `inputs` and `labels` may be templates over `trigger`, the variables it was started
    with. When it ends in one of the states `stop_after`, the trigger is disabled. `allow_concurrent` lets a trigger
    look again, or start another at its next date, while it runs. All of `conditions` must hold, and `when` be true.
    """

    dated: ClassVar[bool] = False  # whether it has dates of its own
    isolated: ClassVar[bool] = True  # each evaluation in a child process: what hangs is ended before another may begin
    preloads: ClassVar[tuple[str, ...]] = ()

    id: str
    type: str
    description: str | None = None
    disabled: bool = False
    inputs: Mapping[str, Json] | None = None
    labels: Json = None
    stop_after: tuple[str, ...] = ()
    allow_concurrent: bool = False
    log_level: Level | None = None
    log_to_file: bool = False
    conditions: tuple[Mapping[str, Json], ...] = Field((), description="What must hold for an execution to be started, all of it.")
    when: str | bool | None = Field(None, description="An expression that must be true for an execution to be started.")
    worker_group: WorkerGroupRef | None = None
    worker_selector: WorkerSelector | None = None
    placement: PlacementChain = Field((), description=PLACEMENT_ABOUT)

    @property
    def all_conditions(self) -> tuple[Mapping[str, Json], ...]:
        """What must hold, by whichever names it is written."""
        return self.conditions


class PollingTrigger(Trigger, ABC):
    """Looks again and again, on the worker group that it names. Plain blocking Python on a thread of its own.

    `interval` lies between the end of one look and the next; a look that lasts longer than `timeout` is ended: by default
    the interval, or five minutes if that is shorter.
    `isolated` and `preloads` mean what they mean for a Task: each look in a child process, that can be killed.
    One that promises to end within a second when it is told to may set it to False.
    """

    interval: str = "PT1M"
    timeout: str | None = None

    @field_validator("interval", "timeout")
    @classmethod
    def _some_time(cls, text: str | None) -> str | None:
        if text is not None and parse_duration(text).total_seconds() <= 0:
            raise ValueError("must be longer than nothing")
        return text

    @abstractmethod
    def evaluate(self, ctx: RunContext) -> Mapping[str, Json] | None:
        """Look once. The variables of the execution to start (`trigger.*` in its templates), None when there is nothing new.

        Any error is logged with the trigger, and it looks again at its next interval."""


class RealtimeTrigger(Trigger, ABC):
    """Listens for as long as its flow is there, on the worker group that it names.

    `isolated` and `preloads` mean what they mean for a Task: it listens in a child process, that can be killed.
    """

    @abstractmethod
    def listen(self, ctx: RunContext, emit: Callable[[Mapping[str, Json]], None]) -> None:
        """Call `emit` with the variables of each execution to start; it returns once that is saved, so that whoever sent
        the message may be told. Returns when `ctx.cancelled()`; returning or raising earlier has it begun again."""


class DatedTrigger(Trigger, ABC):
    """Has dates of its own, and starts an execution at each. The head keeps them: nothing runs on a worker.

    Both methods are pure, and give dates in the zone of the date they are given.
    """

    dated = True
    catches_up: ClassVar[bool] = False  # whether the dates before it was there count as well

    recover_missed_schedules: Literal["ALL", "LAST", "NONE"] | None = Field(
        None, description="Which of the dates missed while the server was down are made up for: ALL (the default), the LAST, or NONE."
    )
    timezone: str | None = Field(None, description="The time zone of the dates, by name; the server's own when not set.", examples=["Europe/Paris"])

    @property
    def longest_delay(self) -> timedelta | None:
        """A date that is late by more than this is left out."""
        return None

    @abstractmethod
    def next_date(self, after: datetime) -> datetime | None:
        """The first date after that one."""

    @abstractmethod
    def previous_date(self, before: datetime) -> datetime | None:
        """The last date before that one."""


class ListeningTrigger(Trigger, ABC):
    """Starts an execution when executions of other flows reach certain states. The head hears them: nothing runs on a worker."""

    @property
    @abstractmethod
    def heard_states(self) -> frozenset[State]:
        """The states that it is told of."""

    def gatherings(self) -> Sequence[Gathering]:
        """What must come together before it fires; nothing: it fires for each execution that its conditions let pass."""
        return ()

    def heard_flows(self) -> frozenset[tuple[str, str]] | None:
        """The flows (namespace, id) whose executions alone can matter; None when any may."""
        return None


class CalledTrigger(Trigger, ABC):
    """Starts an execution when its address is called with its key, a template over the flow."""

    key: str = Field(max_length=256, description="The secret last part of the address.", examples=["4wjtkzwVGBM9yKnjm3yv8r"])
    wait: bool = Field(False, description="Whether the call is answered at the end of the execution.")
    return_outputs: bool = Field(False, description="Whether the answer is the flow's outputs; goes with `wait`.")
    response_content_type: Literal["application/json", "text/plain"] | None = Field(None, description="Of outputs that are returned.")
    response_code: int | str | None = Field(None, description="Of the answer to a call that waits; a template over the flow's outputs may stand here.")
