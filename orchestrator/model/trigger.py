"""The stored state of a trigger: when it runs next, whether it may."""

from __future__ import annotations

from pydantic import Field

from orchestrator.model.values import Frozen, Instant, Json


class TriggerState(Frozen):
    """The Trigger shape of the REST API: one per trigger of a saved flow."""

    namespace: str
    flow_id: str = Field(alias="flowId")
    trigger_id: str = Field(alias="triggerId")
    date: Instant | None = None
    next_execution_date: Instant | None = Field(None, alias="nextExecutionDate")
    execution_id: str | None = Field(None, alias="executionId")
    updated_date: Instant | None = Field(None, alias="updatedDate")
    evaluate_running_date: Instant | None = Field(None, alias="evaluateRunningDate")
    worker_id: str | None = Field(None, alias="workerId")
    stop_after: tuple[str, ...] = Field((), alias="stopAfter")
    disabled: bool = False
    backfill: Json = None
