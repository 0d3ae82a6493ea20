"""What travels between the executor and the places where work runs, as JSON; nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from orchestrator.model.execution import Cause, PhaseName
from orchestrator.model.job import JobHandle
from orchestrator.model.log import Level
from orchestrator.model.start import FailedStart
from orchestrator.model.values import Frozen, Instant, Json

ExitState = Literal["SUCCESS", "WARNING", "FAILED", "CANCELLED", "KILLED"]
FOUND = "variables"  # the one output of a look that has found something


class Dispatch(Frozen):
    """One task run to do, or one evaluation of a trigger: everything a worker or supervisor needs, and nothing it does not.

    Of an evaluation (`poll` looks once, `listen` lasts) `task_run_id` is `trigger.evaluation_run`, `task_id` the trigger's
    id and `execution_id` that of the execution it would start. `spec` is TaskSpec.raw or TriggerSpec.raw; `context` holds
    only the names that its templates refer to. `partial` lists tasks whose outputs in the context are only those of the
    run's own loop iterations; the others are fetched on demand. `sealed` are encrypted values in the context (SECRET
    inputs), to be opened where they are used.
    """

    kind: Literal["task", "poll", "listen"] = "task"
    task_run_id: str
    execution_id: str
    namespace: str
    flow_id: str
    flow_revision: int
    task_id: str
    attempt: int = 0  # from 0
    lease: int
    generation: int
    spec: Mapping[str, Json]
    context: Mapping[str, Json] = Field(default_factory=dict)
    partial: tuple[str, ...] = ()
    group: str = ""
    value: str | None = None  # of the loop's iteration
    timeout: float | None = None  # seconds
    job: JobHandle | None = None  # of an earlier dispatch of the same generation
    api_token: str = Field("", repr=False)  # opens this execution's files, keys and outputs over the API
    log_level: Level | None = None
    home: str | None = None  # the task run of the workspace whose folder and thread it has; a workspace is its own
    home_generation: int = 0  # of the workspace: each has a folder of its own, as that of the one before may be going still
    closing: bool = False  # of a workspace: its tasks have ended
    warning: str | None = None  # what its log must begin with, of how its place was chosen
    start_failures: int = 0  # starts of its job that failed before


class Stop(Frozen):
    """End one task run. `cause` is KILLED or TIMEOUT; an unknown run is remembered, so that it never starts."""

    task_run_id: str
    lease: int
    cause: Cause = Cause.KILLED
    execution_id: str = ""  # named in the answer about a run that is not known where the stop arrives


class Reported(Frozen):
    """The head of every report: which dispatch speaks. The executor drops what carries an old lease."""

    task_run_id: str
    execution_id: str
    lease: int
    at: Instant


class Received(Reported):
    """The run left its queue and its code begins. `worker` is the actor's name."""

    kind: Literal["received"] = "received"
    worker: str = ""


class PhaseReached(Reported):
    kind: Literal["phase"] = "phase"
    name: PhaseName
    detail: str | None = None


class JobPrepared(Reported):
    """A job has been named and not yet made; it is made once this is acknowledged as saved. None: it has been taken away."""

    kind: Literal["job"] = "job"
    handle: JobHandle | None


class SaidLine(Frozen):
    """A log line on its way; the executor adds namespace, flow and ids."""

    at: Instant
    level: Level
    message: str
    offset: int
    thread: str | None = None


class Said(Reported):
    """Lines and metrics, in order."""

    kind: Literal["said"] = "said"
    lines: tuple[SaidLine, ...] = ()
    metrics: tuple[Mapping[str, Json], ...] = ()  # {type, name, value, tags, timestamp}


class Emitted(Reported):
    """A listening trigger has something to start. Once this is acknowledged the execution is saved; `number` counts from 1."""

    kind: Literal["emitted"] = "emitted"
    number: int
    variables: Mapping[str, Json] = Field(default_factory=dict)


class VariableChange(Frozen):
    """What a task makes of its execution's variables: first some are dropped, then others put."""

    put: Mapping[str, Json] = Field(default_factory=dict)
    drop: tuple[str, ...] = ()
    overwrite: bool = True  # False: refused when one to put is there
    ignore_missing: bool = False  # False: refused when one to drop is not there


class Outcome(Reported):
    """The run has ended. `state` is SUCCESS, WARNING, FAILED, KILLED or CANCELLED as the task itself sees it.

    A look that found something to start has the outputs `{FOUND: variables}`; one that did not has none.
    """

    kind: Literal["outcome"] = "outcome"
    state: Literal["SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "SKIPPED"]
    outputs: Mapping[str, Json] = Field(default_factory=dict)
    cause: Cause | None = None
    error: str | None = None
    failed_start: FailedStart | None = None  # the place could not begin its command; nothing of it is left there
    labels: Mapping[str, str] | None = None  # execution labels to set (core.execution.Labels)
    variables: tuple[VariableChange, ...] = ()  # of the execution
    ends: ExitState | None = None  # what the execution is to end in (core.execution.Exit)
    log_file: str | None = None  # the URI of its lines, of a task that keeps them in a file


Report = Annotated[Received | PhaseReached | JobPrepared | Said | Emitted | Outcome, Field(discriminator="kind")]
REPORTS: TypeAdapter[tuple[Report, ...]] = TypeAdapter(tuple[Report, ...])
DISPATCHES: TypeAdapter[tuple[Dispatch, ...]] = TypeAdapter(tuple[Dispatch, ...])


class Held(Frozen):
    """One dispatch that a worker or supervisor has: waiting, running, or ended and not yet acknowledged."""

    task_run_id: str
    lease: int


class Inventory(Frozen):
    """What a worker or supervisor holds now; the executor asks on start before it sends anything again."""

    worker: str
    group: str = ""
    slots: int = 0
    version: str = ""
    engine: str = ""  # which Docker engine is reached from there, as handles name it
    held: tuple[Held, ...] = ()
