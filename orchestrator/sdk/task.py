"""What a task is to its author: properties, and either `run` (it does something) or `plan` (it leads others)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BeforeValidator, Field

from orchestrator.model.flow import PLACEMENT_ABOUT, QUEUE_TIMEOUT_ABOUT, AskedResources, PlacementChain, Retry, TaskSpec, WorkerGroupRef, WorkerSelector
from orchestrator.model.log import Level
from orchestrator.model.state import State
from orchestrator.model.values import Duration, Frozen, Json
from orchestrator.sdk.context import RunContext
from orchestrator.sdk.plugin import PluginModel
from orchestrator.sdk.waits import Repeat, Wait


class CachedFor(Frozen):
    """Whether a task's outputs are taken from an earlier run with the same properties, and how old they may be; without `ttl`: of any age."""

    enabled: bool
    ttl: Duration | None = None


class AnyTask(PluginModel):
    """The properties that every task has."""

    id: str
    type: str
    version: str | None = None
    description: str | None = None
    disabled: bool = False
    run_if: str | bool | None = None
    timeout: str | None = None
    queue_timeout: str | None = Field(None, description=QUEUE_TIMEOUT_ABOUT, examples=["PT10M"])
    retry: Retry | None = None
    allow_failure: bool = False
    allow_warning: bool = False
    log_level: Level | None = None
    log_to_file: bool = False
    task_cache: CachedFor | None = Field(
        None,
        description="Take the outputs of an earlier run of this task with the same properties in place of another run.",
        examples=[{"enabled": True, "ttl": "PT1H"}],
    )
    worker_group: WorkerGroupRef | None = None
    worker_selector: WorkerSelector | None = None
    placement: PlacementChain = Field((), description=PLACEMENT_ABOUT)
    resources: AskedResources | None = None


class Task(AnyTask, ABC):
    """A task that does something, on a worker or under a supervisor. Plain blocking Python on a thread of its own.

    A thread cannot be ended from outside: once told to stop (`ctx.on_stop`, `ctx.cancelled()`) `run` must end within a
    second by itself. What cannot promise that, because a library or a server holds it up, sets `isolated`: each run then
    has a child process, which is told the same, and killed half a second later with all that came of it. It costs some
    milliseconds and megabytes more, its context is the same, and what it leaves in memory is gone with it.
    """

    isolated: ClassVar[bool] = False
    preloads: ClassVar[tuple[str, ...]] = ()  # modules to load once for all isolated runs of the type: heavy ones, that start no thread when loaded

    @abstractmethod
    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        """Do it and return the outputs. Raises TaskFailed (or any other error) to fail, Warned to end in WARNING."""


class Warned(Exception):
    """Raised by `run` to end in WARNING with these outputs."""

    def __init__(self, message: str | None, outputs: Mapping[str, Json]) -> None:
        super().__init__(message or "")
        self.outputs = dict(outputs)


class Order(StrEnum):
    """How the tasks of a plan (of each iteration, under a loop) follow each other."""

    SEQUENTIAL = "sequential"
    PARALLEL = "parallel"
    GRAPH = "graph"


class Plan(Frozen):
    """What a flowable does, decided once its expressions are known.

    `tasks` run in `order`; with `values` they run once per value (text), else once. `limit` bounds what runs at once:
    iterations under a loop, else tasks; 0 means no bound. `waits_for` (GRAPH) maps a task's id to those it needs.
    `branch` names the list chosen. `outputs` become the flowable's own. A child's failure ends the flowable in
    `on_failure`. With `wait` the execution is paused before the tasks run, with `repeat` they run more than once.
    """

    branch: str = "tasks"
    tasks: tuple[TaskSpec, ...] = ()
    order: Order = Order.SEQUENTIAL
    limit: int = 0
    values: tuple[str, ...] | None = None
    waits_for: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    outputs: Mapping[str, Json] = Field(default_factory=dict)
    on_failure: State = State.FAILED
    wait: Wait | None = None
    repeat: Repeat | None = None


Tasks: TypeAlias = Annotated[tuple[TaskSpec, ...], BeforeValidator(lambda value: () if value is None else value)]
"""A list of tasks as a property; null is the empty list."""


class Drawn(StrEnum):
    """How a graph shows the tasks that a flowable leads."""

    SEQUENTIAL = "SEQUENTIAL"
    PARALLEL = "PARALLEL"
    DYNAMIC = "DYNAMIC"  # once per value of a list
    CHOICE = "CHOICE"  # one branch of several
    GRAPH = "GRAPH"  # by what each waits for; its plan needs no answers


class Flowable(AnyTask, ABC):
    """A task that leads other tasks. Pure: it is asked what to render, then what to do with the answers."""

    drawn: ClassVar[Drawn] = Drawn.SEQUENTIAL

    errors: Tasks = ()
    finally_: Tasks = Field((), alias="finally")

    def questions(self) -> Mapping[str, Json]:
        """The properties to render before `plan`, by name; text gives text, lists and maps are rendered through."""
        return {}

    @abstractmethod
    def plan(self, answers: Mapping[str, Json]) -> Plan:
        """What to do. The same answers give the same plan. Raises TaskFailed with the user's mistake."""

    @abstractmethod
    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        """Every list of tasks it holds besides `errors` and `finally`, by branch name, in source order."""
