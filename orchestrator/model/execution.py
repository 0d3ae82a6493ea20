"""What an execution is: its task runs, their attempts, and everything the engine must know again after a crash."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from orchestrator.model.job import JobHandle
from orchestrator.model.reason import PassedOver
from orchestrator.model.resources import Resources
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Frozen, Instant, Json, Label


class Cause(StrEnum):
    """Why a task run ended or was sent again, where its state alone does not say."""

    EXIT_CODE = "EXIT_CODE"
    EXCEPTION = "EXCEPTION"
    OOM = "OOM"
    TIMEOUT = "TIMEOUT"
    QUEUE_TIMEOUT = "QUEUE_TIMEOUT"
    START_FAILED = "START_FAILED"
    JOB_LOST = "JOB_LOST"
    WORKER_LOST = "WORKER_LOST"
    WORKER_SHUTDOWN = "WORKER_SHUTDOWN"
    NO_WORKER = "NO_WORKER"
    KILLED = "KILLED"
    EXPRESSION = "EXPRESSION"


class PhaseName(StrEnum):
    """The stages of one dispatch, in order; most work passes only some of them."""

    QUEUED = "queued"
    PLACED = "placed"
    RECEIVED = "received"
    FILES_IN = "files_in"
    PROVISIONING = "provisioning"
    IMAGE = "image"
    RUNNING = "running"
    FILES_OUT = "files_out"
    ENDED = "ended"


class Phase(Frozen):
    """When a stage began; `detail` is the back end's own word for it (`RUNNABLE`, an image's name)."""

    name: PhaseName
    at: Instant
    detail: str | None = None


class Where(StrEnum):
    """Where work can go: a slot of a worker, a supervisor that rents a container, or a process of its own with resources."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"
    PROCESS = "process"


class Placement(Frozen):
    """Where a task run was asked to go, who asked, where it went, and what was passed over with the reason.

    `step` counts from 0 along the chain of places asked for, `since` is when the run came to it.
    """

    where: Where = Where.WORKER
    group: str = ""  # the key of the group asked for, or taken; "" is the default group
    tags: tuple[str, ...] = ()  # asked for in place of a key
    asked_at: str = Field("default", alias="askedAt")  # task, parent, flow, pluginDefaults, namespace, server, default
    fallback: str = "WAIT"
    step: int = 0
    since: Instant | None = None
    worker: str | None = None  # the actor's name, once chosen
    runner: str | None = None  # the task runner's type, where the task is a script
    reason: str | None = None  # why that runner
    backend: str | None = None  # of that runner: a name for a place that belongs to no machine, "" for the machine's own; None for a slot
    resources: Resources | None = None
    passed_over: tuple[PassedOver, ...] = Field((), alias="passedOver")


class Attempt(Frozen):
    """One try of a task run: the Attempt shape of the REST API."""

    state: Lifecycle
    worker_id: str | None = Field(None, alias="workerId")
    log_file: str | None = Field(None, alias="logFile")


class TaskRun(Frozen):
    """One run of one task. Its JSON is the TaskRun shape of the REST API plus the engine's own facts.

    `branch` names the list of the parent that the task stands in (`tasks`, `errors`, `finally`, `then`, `else`,
    `cases.<value>`, `defaults`). `iteration` counts from 0 under a loop and `value` is that iteration's value as
    text; both are set on direct children of the loop only.
    `lease` goes up by one at every dispatch; `generation` is the same for a re-dispatch and new for a retry.
    `answers` are the rendered values a flowable decided by (its plan is made of them again after a restart).
    """

    id: str
    execution_id: str = Field(alias="executionId")
    namespace: str
    flow_id: str = Field(alias="flowId")
    task_id: str = Field(alias="taskId")
    seq: int = 0  # position in the execution's list
    parent_id: str | None = Field(None, alias="parentTaskRunId")
    branch: str = "tasks"
    value: str | None = None
    iteration: int | None = None
    attempts: tuple[Attempt, ...] = Field((), exclude_if=lambda attempts: not attempts)  # none is not shown
    outputs: Mapping[str, Json] = Field(default_factory=dict)
    state: Lifecycle
    dynamic: bool | None = None
    # the engine's own
    answers: Json = None
    phases: tuple[Phase, ...] = ()
    placement: Placement | None = None
    lease: int = 0
    generation: int = 0
    job: JobHandle | None = None
    cause: Cause | None = None
    error: str | None = None
    cost: float | None = None
    lost_workers: int = Field(0, alias="lostWorkers")
    calls_since: int | None = Field(None, alias="callsSince")  # of a run that starts executions: those of this generation and later ones count
    start_failures: int = Field(0, alias="startFailures")  # starts of its job that failed since its last attempt
    running_since: Instant | None = Field(None, alias="runningSince")  # when the command of its present job began, wherever it is watched from
    due: Instant | None = None  # when a retry, timeout, queue timeout, pause or round falls due, whichever the state means

    @property
    def current(self) -> State:
        return self.state.current


class ExecutionTrigger(Frozen):
    """What started an execution, and the variables it brought.

    `evaluation_id` is that of a listener: files that it keeps are under its own id, and the execution may read them.
    """

    id: str
    type: str
    variables: Mapping[str, Json] = Field(default_factory=dict)
    log_file: str | None = Field(None, alias="logFile")
    evaluation_id: str | None = Field(None, alias="evaluationId")


class Metadata(Frozen):
    attempt_number: int = Field(1, alias="attemptNumber")
    original_created_date: Instant | None = Field(None, alias="originalCreatedDate")
    depth: int | None = None  # how many executions, each started by the one before, lead to this one; None: nothing called it


class Exit(Frozen):
    """How an execution is to end although it is not through: a task of it said so. Runs with a `seq` below were there then."""

    state: State
    seq: int


class Execution(Frozen):
    """One execution of a flow, without its task runs. Its JSON is the Execution shape of the REST API less `taskRunList`.

    `version` goes up by one at every save: the store's compare-and-set.
    """

    id: str
    namespace: str
    flow_id: str = Field(alias="flowId")
    flow_revision: int = Field(alias="flowRevision")
    inputs: Mapping[str, Json] = Field(default_factory=dict)
    outputs: Mapping[str, Json] = Field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    variables: Mapping[str, Json] = Field(default_factory=dict)
    state: Lifecycle
    parent_id: str | None = Field(None, alias="parentId")
    original_id: str | None = Field(None, alias="originalId")
    trigger: ExecutionTrigger | None = None
    deleted: bool = False
    metadata: Metadata = Metadata()
    schedule_date: Instant | None = Field(None, alias="scheduleDate")
    kind: str | None = None
    version: int = 0
    task_run_count: int = Field(0, alias="taskRunCount")
    broken_sla: tuple[str, ...] | None = Field(None, alias="brokenSla")  # places in the flow's list
    vars: Mapping[str, Json] | None = None  # the flow's variables as tasks have changed them; None: as the flow has them
    exit: Exit | None = None
    after: tuple[str, ...] | None = None  # once it has ended: the lists of tasks that run then
    unheard: bool | None = None  # and whether the conditions of listeners are still to be asked

    @property
    def current(self) -> State:
        return self.state.current
