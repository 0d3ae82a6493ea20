"""Small plugin classes for the tests of the language, found by the tail of their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from orchestrator.errors import NotFound
from orchestrator.sdk import CallProperties, Dynamic, Flowable, Json, Level, Plan, PluginModel, PollingTrigger, RunContext, Task, TaskSpec, Trigger


class Log(Task):
    message: Dynamic[str | list[str]]
    level: Dynamic[Level] = Level.INFO
    count: Dynamic[int] | None = None
    env: Mapping[str, str] = Field(default_factory=dict)
    task_runner: Mapping[str, Json] | None = None

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return {}


class Return(Task):
    format: Dynamic[str] | None = None

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return {}


class Sequential(Flowable):
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks)

    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        return {"tasks": self.tasks}


class WorkingDirectory(Sequential):
    pass


class Switch(Flowable):
    value: str
    cases: Mapping[str, tuple[TaskSpec, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _some(self) -> Switch:
        if not any(self.cases.values()):
            raise ValueError("No task defined, neither cases or default have any tasks")
        return self

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan()

    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        return dict(self.cases)


class Node(PluginModel):
    task: TaskSpec
    depends_on: tuple[str, ...] = ()


class Dag(Flowable):
    tasks: tuple[Node, ...]

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan()

    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        return {"tasks": tuple(node.task for node in self.tasks)}


class Subflow(CallProperties, Task):
    namespace: str
    flow_id: str

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return {}


class Schedule(Trigger):
    cron: str


class Poll(PollingTrigger):
    def evaluate(self, ctx: RunContext) -> Mapping[str, Json] | None:
        return None


class Process(PluginModel):
    ephemeral: ClassVar[bool] = False
    type: str


class Docker(PluginModel):
    ephemeral: ClassVar[bool] = True
    type: str
    image: str | None = None


_CLASSES: Mapping[tuple[str, str], type[Any]] = {
    **{("task", cls.__name__): cls for cls in (Log, Return, Sequential, WorkingDirectory, Switch, Dag, Subflow)},
    ("trigger", "Schedule"): Schedule,
    ("trigger", "Poll"): Poll,
    ("task_runner", "Process"): Process,
    ("task_runner", "Docker"): Docker,
}


def resolve(kind: str, name: str) -> type[Any]:
    """As `registry.load`, for the classes above."""
    try:
        return _CLASSES[(kind, name.rsplit(".", 1)[-1])]
    except KeyError:
        raise NotFound(f"Invalid type: {name}") from None
