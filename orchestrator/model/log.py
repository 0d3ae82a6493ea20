"""What work says while it runs: log lines and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field

from orchestrator.model.values import Frozen, Instant


class Level(StrEnum):
    """How loud a log line is, quietest first in `ORDER`."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"

    @property
    def rank(self) -> int:
        """0 for TRACE to 4 for ERROR."""
        return _RANK[self]


_RANK = {level: rank for rank, level in enumerate(Level)}


class LogLine(Frozen):
    """One line of an execution's log: the LogEntry shape of the REST API.

    `offset` orders the lines of one task run's lease, from 0; the store drops a line whose offset it has already
    taken (None: nothing to compare, always kept).
    """

    namespace: str
    flow_id: str = Field(alias="flowId")
    execution_id: str | None = Field(None, alias="executionId")
    task_id: str | None = Field(None, alias="taskId")
    task_run_id: str | None = Field(None, alias="taskRunId")
    attempt_number: int | None = Field(None, alias="attemptNumber")
    trigger_id: str | None = Field(None, alias="triggerId")
    timestamp: Instant
    level: Level
    thread: str | None = None
    message: str
    deleted: bool = False
    offset: int | None = Field(None, exclude=True)


class Metric(Frozen):
    """A number that work reports: the MetricEntry shape of the REST API. A timer's `value` is in milliseconds."""

    namespace: str
    flow_id: str = Field(alias="flowId")
    execution_id: str | None = Field(None, alias="executionId")
    task_id: str | None = Field(None, alias="taskId")
    task_run_id: str | None = Field(None, alias="taskRunId")
    type: Literal["counter", "timer", "gauge"]
    name: str
    value: float
    timestamp: Instant
    tags: Mapping[str, str] = Field(default_factory=dict)
    deleted: bool = False
