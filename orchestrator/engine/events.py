"""What happens to an execution (events), and what its decisions ask to be done (commands). Frozen data, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from orchestrator.model.dispatch import Outcome
from orchestrator.model.execution import Cause, Execution, Phase, TaskRun
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Json

# --- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """The execution may begin: it was created, unqueued, or found CREATED after a restart."""


@dataclass(frozen=True)
class Evaluated:
    """The answer to Evaluate. Exactly one of `answers` and `error` counts; `task_run_id` None: the flow's own outputs."""

    task_run_id: str | None
    question: str
    answers: Mapping[str, Json] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class RunReceived:
    """A worker or supervisor began the run; None: the server itself did."""

    task_run_id: str
    lease: int
    worker: str | None
    at: datetime


@dataclass(frozen=True)
class RunOpened:
    """The folder of a workspace is ready for its tasks."""

    task_run_id: str
    lease: int
    at: datetime


@dataclass(frozen=True)
class RunReached:
    """The place that has the run tells a stage; an old lease changes nothing."""

    task_run_id: str
    lease: int
    phase: Phase


@dataclass(frozen=True)
class RunEnded:
    """A worker or supervisor reports the end; an old lease changes nothing."""

    outcome: Outcome


@dataclass(frozen=True)
class RunLost:
    """The place that held the run is gone (or handed it back): send it again under a new lease, the same generation."""

    task_run_id: str
    lease: int
    cause: Cause


@dataclass(frozen=True)
class RunRefused:
    """The run cannot be placed and its fallback says so: FAILED or CANCELLED without ever starting."""

    task_run_id: str
    state: State
    cause: Cause
    message: str


@dataclass(frozen=True)
class TimerFired:
    """A moment asked for by SetTimer has come. A timer that no longer fits the state changes nothing."""

    kind: TimerKind
    task_run_id: str | None = None


@dataclass(frozen=True)
class KillAsked:
    """A person, or a parent execution, wants it to end."""


@dataclass(frozen=True)
class PauseAsked:
    """A person wants nothing new to begin; what runs may end."""


@dataclass(frozen=True)
class ResumeAsked:
    """It may go on: the run that waits (None: an execution that a person has paused), with the values asked for on resume.

    `state` is what the run ends in at best.
    """

    task_run_id: str | None = None
    values: Mapping[str, Json] = field(default_factory=dict)
    state: State = State.SUCCESS


@dataclass(frozen=True)
class RunStopped:
    """The place that held a run says that nothing of it is left (or that it never had it)."""

    task_run_id: str
    lease: int


class TimerKind(StrEnum):
    RETRY = "retry"
    TIMEOUT = "timeout"
    QUEUE_TIMEOUT = "queue_timeout"
    PAUSE = "pause"  # a run has waited long enough to be resumed
    ROUND = "round"  # the next round of a run that repeats its tasks
    SLA = "sla"  # of the execution: it has taken as long as it may


Event: TypeAlias = (
    Started
    | Evaluated
    | RunReceived
    | RunReached
    | RunOpened
    | RunEnded
    | RunLost
    | RunRefused
    | TimerFired
    | KillAsked
    | PauseAsked
    | ResumeAsked
    | RunStopped
)

# --- commands -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluate:
    """Render `templates` in the context of a task run (None: of the execution) and answer with Evaluated.

    `question` says what for: `before` (runIf, templated timeout and worker group of any task), `plan` (a flowable's
    own), `until` (whether a run that repeats is through), `outputs` (the flow's), `sla` (its assertions), `listeners`
    (which of them are meant). Not saved: asked again after a restart when the state still waits for it.
    """

    task_run_id: str | None
    question: str
    templates: Mapping[str, Json]


@dataclass(frozen=True)
class Run:
    """Send a task run to the place it belongs to. Saved in the outbox before it is sent."""

    run: TaskRun


@dataclass(frozen=True)
class StopRun:
    """Stop a dispatched run, wherever it is. Saved in the outbox; answered by RunEnded or RunStopped."""

    task_run_id: str
    lease: int
    cause: Cause


@dataclass(frozen=True)
class CloseFolder:
    """All tasks of a workspace have ended: have what is to be kept taken out of its folder; answered by RunEnded.

    Not saved: asked again after a restart. Asking twice is harmless.
    """

    task_run_id: str
    lease: int


@dataclass(frozen=True)
class SetTimer:
    """Tell the engine when a moment has come. Not saved: derived again from the task run's `due` after a restart."""

    kind: TimerKind
    at: datetime
    task_run_id: str | None = None


@dataclass(frozen=True)
class StartAnew:
    """Make another execution of what this one was made of, that begins at `at`. Saved in the same turn."""

    at: datetime


@dataclass(frozen=True)
class Say:
    """A log line of the engine's own, about a task run or the execution."""

    level: Level
    message: str
    task_run_id: str | None = None


Command: TypeAlias = Evaluate | Run | StopRun | CloseFolder | SetTimer | StartAnew | Say


@dataclass(frozen=True)
class Decision:
    """What one event changes: the rows to save (whole), the ids of those that are no more, and what to do once that is saved."""

    execution: Execution | None = None
    runs: tuple[TaskRun, ...] = ()
    commands: tuple[Command, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return self.execution is None and not self.runs and not self.commands
