"""What a trigger is to its author: properties, and for those that look or listen, how."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from pydantic import Field, field_validator

from orchestrator.model.flow import PLACEMENT_ABOUT, PlacementChain, WorkerGroupRef, WorkerSelector
from orchestrator.model.log import Level
from orchestrator.model.values import Json, parse_duration
from orchestrator.sdk.context import RunContext
from orchestrator.sdk.plugin import PluginModel


class Trigger(PluginModel):
    """The properties that every trigger has.

    Of an execution that it starts, `inputs` and `labels` may be templates over `trigger`, the variables it was started
    with. When it ends in one of the states `stop_after`, the trigger is disabled. `allow_concurrent` lets a polling
    trigger look again while it runs.
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
    conditions: tuple[Mapping[str, Json], ...] = ()
    worker_group: WorkerGroupRef | None = None
    worker_selector: WorkerSelector | None = None
    placement: PlacementChain = Field((), description=PLACEMENT_ABOUT)


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
