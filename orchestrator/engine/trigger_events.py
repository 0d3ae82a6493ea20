"""What decides about a trigger, what happens to it (events), and what comes of that. Frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias

from orchestrator.model.execution import Cause
from orchestrator.model.state import State
from orchestrator.model.trigger import Backfill, OpenWindow, TriggerState

LEAST_TIMEOUT = timedelta(minutes=5)  # of a look that names none


class Kind(StrEnum):
    """How a trigger comes to start executions."""

    POLL = "poll"  # it looks, again and again
    LISTEN = "listen"  # it listens for as long as it is there
    DATES = "dates"  # it has dates of its own
    HEARS = "hears"  # it hears of the executions of other flows
    CALLED = "called"  # its address is called

    @property
    def evaluated(self) -> bool:
        """Whether a worker evaluates it."""
        return self in (Kind.POLL, Kind.LISTEN)


class Calendar(Protocol):
    """The dates of a trigger that has some. Pure but for what its conditions read."""

    def begins(self, last: datetime | None, now: datetime) -> datetime | None:
        """When it is due first, from a change of its definition on; `last` is the last date it was due at."""

    def next(self, last: datetime, now: datetime, *, however_late: bool = False) -> datetime | None:
        """When it is due after a date."""

    def at_or_after(self, date: datetime, now: datetime) -> datetime | None:
        """The first date that is not before that one."""

    def in_time(self, date: datetime, now: datetime) -> datetime | None:
        """That date, or the first after it that is not too late."""

    def after_downtime(self, due: datetime, now: datetime) -> datetime | None:
        """When it is due, after a start of the server, where it was due at a date that has passed."""


@dataclass(frozen=True)
class Definition:
    """What of a trigger's definition decides.

    `enabled` is what trigger and flow say of themselves, `obstacle` why it cannot be evaluated all the same, `concurrent`
    whether it looks again while an execution that it has started runs, `calendar` its dates.
    """

    kind: Kind
    interval: timedelta = timedelta(minutes=1)
    timeout: timedelta = LEAST_TIMEOUT
    enabled: bool = True
    obstacle: str | None = None
    stop_after: tuple[State, ...] = ()
    concurrent: bool = False
    calendar: Calendar | None = field(default=None, compare=False)

    @property
    def runs(self) -> bool:
        return self.enabled and self.obstacle is None


@dataclass(frozen=True)
class Leaving:
    """An evaluation of a trigger that is gone: told to stop, and not yet known to have."""

    worker: str
    lease: int
    due: datetime  # when it is told again


@dataclass(frozen=True)
class Standing:
    """All there is to a trigger's name: its state while a flow declares it, and what an earlier one left running."""

    state: TriggerState | None = None
    leaving: Leaving | None = None


# --- events


@dataclass(frozen=True)
class Saved:
    """A flow that declares it was saved; `changed` when that makes a difference to this trigger."""

    name: tuple[str, str, str]  # namespace, flow, trigger
    changed: bool = True


@dataclass(frozen=True)
class Removed:
    """No flow declares it any more."""


@dataclass(frozen=True)
class Placed:
    """It is due, and a worker was found for it."""

    worker: str
    evaluation_id: str


@dataclass(frozen=True)
class Missed:
    """Its evaluation was sent, and the place that lives does not have it."""


@dataclass(frozen=True)
class Skipped:
    """Nobody could evaluate it when it was due, and its fallback says not to wait."""


@dataclass(frozen=True)
class Fell:
    """One of its dates has been seen to; `execution_id` is the execution that was started and goes on."""

    date: datetime
    execution_id: str | None = None


@dataclass(frozen=True)
class Late:
    """A date was due, and it is too late for it."""


@dataclass(frozen=True)
class ServerBegan:
    """The server has started: what was due while it was down is made up for, or not."""


@dataclass(frozen=True)
class Heard:
    """Something has come that it waits for: the windows as they are now, and whether it fires."""

    windows: Mapping[str, OpenWindow]
    fired: bool


@dataclass(frozen=True)
class Called:
    """Its address was called, and it fires."""


@dataclass(frozen=True)
class Rang:
    """A moment that was waited for has come."""


@dataclass(frozen=True)
class Received:
    """The worker has begun."""

    lease: int


class How(StrEnum):
    """How an evaluation ended."""

    LOOKED = "looked"  # by itself, with something to start or nothing
    FAILED = "failed"
    TIMEOUT = "timeout"
    STOPPED = "stopped"  # as it was told, or it never began
    HANDED_BACK = "handed back"  # its worker shuts down


@dataclass(frozen=True)
class Ended:
    """The worker says that nothing of it is left. `execution_id` is the execution that was started for it."""

    lease: int
    how: How
    execution_id: str | None = None


@dataclass(frozen=True)
class Emitted:
    """A listener has something to start; its emits are numbered from 1."""

    lease: int
    number: int


@dataclass(frozen=True)
class Told:
    """A listener or look has said log lines, up to this offset."""

    lease: int
    offset: int


@dataclass(frozen=True)
class Lost:
    """A place is dead, and all it held."""

    worker: str


@dataclass(frozen=True)
class ExecutionOver:
    """An execution that the trigger had started has ended (`state`), or is no more (None)."""

    execution_id: str
    state: State | None


class Verb(StrEnum):
    """What a person may ask of a trigger."""

    ENABLE = "enable"
    DISABLE = "disable"
    RESTART = "restart"  # end what is evaluating, and begin anew at once
    UNLOCK = "unlock"  # wait for nothing any more
    PAUSE_BACKFILL = "pause-backfill"
    UNPAUSE_BACKFILL = "unpause-backfill"
    DELETE_BACKFILL = "delete-backfill"


@dataclass(frozen=True)
class Asked:
    verb: Verb


@dataclass(frozen=True)
class BackfillAsked:
    """Past dates are to be made up for; `current_date` of the backfill is where it is to begin."""

    backfill: Backfill


Event: TypeAlias = (
    Saved
    | Removed
    | Placed
    | Missed
    | Skipped
    | Fell
    | Late
    | ServerBegan
    | Heard
    | Called
    | Rang
    | Received
    | Ended
    | Emitted
    | Told
    | Lost
    | ExecutionOver
    | Asked
    | BackfillAsked
)


@dataclass(frozen=True)
class Halt:
    """Tell a worker to end an evaluation."""

    worker: str
    lease: int
    cause: Cause


@dataclass(frozen=True)
class Verdict:
    """What is so now, and whom to tell."""

    standing: Standing
    halt: Halt | None = None
