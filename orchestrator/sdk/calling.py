"""A task that starts executions of other flows: what it is to its author."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from orchestrator.model.values import Frozen, Instant, Json, Label
from orchestrator.sdk.task import AnyTask


class RestartBehavior(StrEnum):
    """What becomes of the executions that a task has started when it begins again because somebody restarts its own."""

    RETRY_FAILED = "RETRY_FAILED"
    NEW_EXECUTION = "NEW_EXECUTION"


class Call(Frozen):
    """One execution to start. `revision` None: the newest; `schedule_date` None: at once."""

    namespace: str
    flow_id: str
    revision: int | None = None
    inputs: Mapping[str, Json] = Field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    inherit_labels: bool = False
    schedule_date: Instant | None = None


class CallProperties(AnyTask):
    """What can be said of the executions that a task starts."""

    wait: bool = Field(True, description="Whether the task goes on until what it has started has ended.")
    transmit_failed: bool = Field(True, description="Whether a failure (or WARNING, or kill) of what it has started is its own; it must `wait` for that.")
    restart_behavior: RestartBehavior = Field(
        RestartBehavior.RETRY_FAILED,
        description="When this execution is restarted: go on with the executions that have failed (RETRY_FAILED), or start new ones (NEW_EXECUTION).",
    )


class Caller(CallProperties, ABC):
    """A task that starts executions and, with `wait`, goes on until they have ended. It takes no worker: the server does it.

    Pure: it is asked what to render, then what to start with the answers, once for each execution.
    """

    @abstractmethod
    def questions(self) -> Mapping[str, Json]:
        """What to render for each execution; text gives text, lists and maps are rendered through."""

    @abstractmethod
    def call(self, answers: Mapping[str, Json]) -> Call:
        """The execution to start. Raises TaskFailed with the user's mistake."""

    def items_from(self) -> tuple[str, str] | None:
        """The task beside this one (same leader, same iteration) and the output of it that names a file of this execution, with the URI
        of one item a line: an execution is started for each, which is `taskrun.items` for the templates, and its number, from 0,
        `taskrun.iteration`. None: one execution is started, for nothing in particular."""
        return None

    def results(self) -> Mapping[str, Json]:
        """What to render among the variables of the one execution started, once it has ended: the output `outputs`."""
        return {}
