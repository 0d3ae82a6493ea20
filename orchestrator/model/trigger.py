"""The stored state of a trigger: when it runs next, whether it may, and who evaluates it now."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, field_validator

from orchestrator.model.execution import Cause
from orchestrator.model.values import Frozen, Instant, Json

MOST_LOOKS, MOST_LISTENERS = 32, 64  # on one worker at once: evaluations take none of its slots, and must not swamp it
_MARK = "trigger:"


def evaluation_run(namespace: str, flow_id: str, trigger_id: str) -> str:
    """What the evaluations of a trigger bear for a `task_run_id`: one name for all, so that a place holds one at most.

    Slashes part it: the ids may hold dots.
    """
    return f"{_MARK}{namespace}/{flow_id}/{trigger_id}"


def is_evaluation(task_run_id: str) -> bool:
    """Whether a report is about a trigger's evaluation and not about a task run."""
    return task_run_id.startswith(_MARK)


class Evaluation(Frozen):
    """One look of a polling trigger, or one stretch of a realtime trigger's listening, from its sending until its end is known.

    `id` is the execution that a look would start; files that it keeps belong to it. `due` is when something must have
    come of it: its end, the receipt of a listener, the answer to a stop.
    """

    id: str
    lease: int
    worker: str  # the actor's name
    since: Instant
    due: Instant | None = None
    received: Instant | None = None
    stopping: Cause | None = None  # why it was told to stop
    emitted: int = 0  # the last emit taken: each is taken once
    said: int = -1  # the offset of the last log line taken


class Backfill(Frozen):
    """Past dates of a trigger that are being made up for, those from `start` to `end`: its own dates wait meanwhile.

    `current_date` is the next of them, `previous_next_execution_date` when the trigger is due by itself; while it is
    paused the trigger goes on with its own dates.
    """

    start: Instant
    end: Instant
    current_date: Instant = Field(alias="currentDate")
    paused: bool = False
    inputs: Mapping[str, Json] | None = None  # of its executions, before those of the trigger
    labels: Json = None
    previous_next_execution_date: Instant | None = Field(None, alias="previousNextExecutionDate")


class OpenWindow(Frozen):
    """What has come of a gathering (by the names of its parts) in the present window of time, and the outputs of the executions that came."""

    start: Instant
    end: Instant
    met: tuple[str, ...] = ()
    outputs: Mapping[str, Json] = Field(default_factory=dict)


class TriggerState(Frozen):
    """The Trigger shape of the REST API, one per trigger of a saved flow, and the engine's own facts.

    `evaluate_running_date` and `worker_id` say of the present evaluation what people and searches want to know.
    `lease` is that of the last evaluation; it grows also when the trigger goes and comes again.
    """

    namespace: str
    flow_id: str = Field(alias="flowId")
    trigger_id: str = Field(alias="triggerId")
    date: Instant | None = None  # of the last evaluation; of a trigger with dates, the last of them that was due
    next_execution_date: Instant | None = Field(None, alias="nextExecutionDate")
    execution_id: str | None = Field(None, alias="executionId")  # the execution it started and waits for
    updated_date: Instant | None = Field(None, alias="updatedDate")
    evaluate_running_date: Instant | None = Field(None, alias="evaluateRunningDate")
    worker_id: str | None = Field(None, alias="workerId")
    stop_after: tuple[str, ...] = Field((), alias="stopAfter")
    disabled: bool = False
    backfill: Backfill | None = None
    # the engine's own
    lease: int = 0
    evaluation: Evaluation | None = None
    failures: int = 0  # of a listener, in a row
    windows: Mapping[str, OpenWindow] = Field(default_factory=dict)  # by the ids of gatherings

    @field_validator("backfill", mode="before")
    @classmethod
    def _only_whole(cls, value: object) -> object:
        """Older states held a backfill as it was sent, which was never acted on."""
        return value if isinstance(value, Backfill) or (isinstance(value, Mapping) and "currentDate" in value) else None

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.namespace, self.flow_id, self.trigger_id)
