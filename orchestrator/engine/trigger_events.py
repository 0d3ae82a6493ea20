"""What decides about a trigger, what happens to it (events), and what comes of that. Frozen data, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from orchestrator.model.execution import Cause
from orchestrator.model.state import State
from orchestrator.model.trigger import TriggerState

LEAST_TIMEOUT = timedelta(minutes=5)  # of a look that names none


class Kind(StrEnum):
    """How a trigger comes to start executions."""

    POLL = "poll"  # it looks, again and again
    LISTEN = "listen"  # it listens for as long as it is there


@dataclass(frozen=True)
class Definition:
    """What of a trigger's definition decides.

    `enabled` is what trigger and flow say of themselves, `obstacle` why it cannot be evaluated all the same, `concurrent`
    whether it looks again while an execution that it has started runs.
    """

    kind: Kind
    interval: timedelta = timedelta(minutes=1)
    timeout: timedelta = LEAST_TIMEOUT
    enabled: bool = True
    obstacle: str | None = None
    stop_after: tuple[State, ...] = ()
    concurrent: bool = False

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


@dataclass(frozen=True)
class Asked:
    verb: Verb


Event: TypeAlias = Saved | Removed | Placed | Missed | Skipped | Rang | Received | Ended | Emitted | Told | Lost | ExecutionOver | Asked


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
