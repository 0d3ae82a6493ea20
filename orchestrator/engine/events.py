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
    """A worker or supervisor began the run."""

    task_run_id: str
    lease: int
    worker: str
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
class RunStopped:
    """The place that held a run says that nothing of it is left (or that it never had it)."""

    task_run_id: str
    lease: int


class TimerKind(StrEnum):
    RETRY = "retry"
    TIMEOUT = "timeout"
    QUEUE_TIMEOUT = "queue_timeout"


Event: TypeAlias = Started | Evaluated | RunReceived | RunReached | RunEnded | RunLost | RunRefused | TimerFired | KillAsked | RunStopped

# --- commands -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluate:
    """Render `templates` in the context of a task run (None: of the execution) and answer with Evaluated.

    `question` says what for: `before` (runIf, templated timeout and worker group of any task), `plan` (a flowable's
    own), `outputs` (the flow's). Not saved: asked again after a restart when the state still waits for it.
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
class SetTimer:
    """Tell the engine when a moment has come. Not saved: derived again from the task run's `due` after a restart."""

    kind: TimerKind
    at: datetime
    task_run_id: str | None = None


@dataclass(frozen=True)
class Say:
    """A log line of the engine's own, about a task run or the execution."""

    level: Level
    message: str
    task_run_id: str | None = None


Command: TypeAlias = Evaluate | Run | StopRun | SetTimer | Say


@dataclass(frozen=True)
class Decision:
    """What one event changes: the rows to save (whole), and what to do once they are saved."""

    execution: Execution | None = None
    runs: tuple[TaskRun, ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def empty(self) -> bool:
        return self.execution is None and not self.runs and not self.commands
