"""Where each task of a flow would go if it ran now: told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field

from orchestrator.model.values import Frozen, Json


class Outlook(StrEnum):
    """What would become of a task's run if it began now. OPEN: an expression decides that only a run can answer."""

    NOW = "now"
    WAITS = "waits"
    FAILS = "fails"
    CANCELLED = "cancelled"
    OPEN = "open"


class GroupStanding(Frozen):
    """A worker group as it is now: live workers, their slots, runs that wait for one, and whether a machine may yet be brought."""

    key: str
    workers: int = 0
    slots: int = 0
    free: int = 0
    queued: int = 0
    may_grow: bool | None = Field(None, alias="mayGrow")  # told where it is so

    def __str__(self) -> str:
        if not self.workers:
            return "no worker is up, a machine is asked for when work comes" if self.may_grow else "no live worker"
        return f"{self.free} of {self.slots} slots free" + (f", {self.queued} waiting" if self.queued else "")


class PlannedStep(Frozen):
    """One place that would be tried. `wait` None: without end. `groups` are those that are meant, as they are now; none without a server.

    `refused` says why it can never be taken.
    """

    place: str
    worker_group: str | None = Field(None, alias="workerGroup")
    tags: tuple[str, ...] = ()
    match: Literal["ALL", "ANY"] = "ALL"
    task_runner: str | None = Field(None, alias="taskRunner")
    wait: str | None = None
    groups: tuple[GroupStanding, ...] = ()
    refused: str | None = None


class PlannedTask(Frozen):
    """A task or a polling trigger: the places to try, the level that set them (`said_by` names a flowable), the runner it would take and why.

    A task that leads others has no places. `unrendered` are expressions that only a run can answer.
    """

    id: str
    type: str
    kind: Literal["task", "flowable", "trigger"] = "task"
    parents: tuple[str, ...] = ()  # outermost first
    branch: str = "tasks"
    disabled: bool = False
    level: str | None = None
    said_by: str | None = Field(None, alias="saidBy")
    steps: tuple[PlannedStep, ...] = ()
    fallback: str | None = None
    task_runner: str | None = Field(None, alias="taskRunner")
    runner_reason: str | None = Field(None, alias="runnerReason")
    resources: Mapping[str, Json] | None = None
    queue_timeout: str | None = Field(None, alias="queueTimeout")
    unrendered: tuple[str, ...] = ()
    outlook: Outlook | None = None  # None without a server
    because: str | None = None


class FlowPlan(Frozen):
    """Every task of a flow. `live`: told by a server, with its groups as they are now. `warnings` are diagnostics of the flow's text."""

    namespace: str
    id: str
    live: bool = False
    tasks: tuple[PlannedTask, ...] = ()
    warnings: tuple[Mapping[str, Json], ...] = ()

    @property
    def would_fail(self) -> bool:
        """Whether a task would not run as things are, however long it waited."""
        return any(task.outlook in (Outlook.FAILS, Outlook.CANCELLED) and not task.disabled for task in self.tasks)
