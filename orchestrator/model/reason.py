"""Why something does not run: the typed answer to "what is it waiting for", with evidence and a way out."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from orchestrator.model.values import Duration, Frozen, Instant, Json


class Reason(StrEnum):
    """What keeps an execution, a task run or a trigger from running."""

    NO_SUCH_GROUP = "NO_SUCH_GROUP"
    GROUP_NOT_ALLOWED = "GROUP_NOT_ALLOWED"  # the group is kept for other namespaces
    NO_LIVE_WORKER = "NO_LIVE_WORKER"
    SCALING_UP = "SCALING_UP"
    AT_CAPACITY = "AT_CAPACITY"
    RESERVED_FOR_OTHERS = "RESERVED_FOR_OTHERS"
    NO_ROOM_FOR_RESOURCES = "NO_ROOM_FOR_RESOURCES"  # machines of the group are there, none has them free
    NOT_A_SCRIPT = "NOT_A_SCRIPT"  # a task runner was asked to run what is no script task
    STARTING = "STARTING"  # sent, and not begun yet
    PROVISIONING = "PROVISIONING"
    CONCURRENCY_LIMIT = "CONCURRENCY_LIMIT"
    WAITING_RETRY = "WAITING_RETRY"
    PAUSED = "PAUSED"
    STOPPING = "STOPPING"  # told to end, and not seen gone
    LOST_PLACE = "LOST_PLACE"  # its worker's machine is out of reach; sent elsewhere once it has surely stopped
    EVALUATING = "EVALUATING"  # a template is being rendered
    WAITING_FOR_TASKS = "WAITING_FOR_TASKS"  # it leads others
    TRIGGER_DISABLED = "TRIGGER_DISABLED"
    FLOW_DISABLED = "FLOW_DISABLED"
    WAITING_FOR_EXECUTION = "WAITING_FOR_EXECUTION"
    NOT_DUE = "NOT_DUE"  # a date is waited for: of a trigger, of an execution that is to begin later, of a loop's next round
    NOT_EVALUATED = "NOT_EVALUATED"  # nothing here evaluates the trigger as it is written
    LISTENING = "LISTENING"  # the trigger waits for executions of other flows
    AWAITING_CALL = "AWAITING_CALL"  # the trigger waits for a call of its address
    DUE = "DUE"  # it goes with the next turn
    FAILED = "FAILED"


class Explanation(Frozen):
    """One typed reason: for what, since when, with which evidence, and what to do about it."""

    execution_id: str | None = Field(None, alias="executionId")
    task_run_id: str | None = Field(None, alias="taskRunId")
    task_id: str | None = Field(None, alias="taskId")
    trigger_id: str | None = Field(None, alias="triggerId")
    value: str | None = None  # of the loop's iteration
    state: str = ""
    reason: Reason
    message: str
    fix: str
    since: Instant | None = None
    evidence: Mapping[str, Json] = Field(default_factory=dict)


class PassedOver(Frozen):
    """A place of a placement chain that was not taken, and why."""

    place: str
    reason: Reason
    detail: str = ""
    waited: Duration
