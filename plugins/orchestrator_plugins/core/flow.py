"""Flowables that order tasks and choose between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, model_validator

from orchestrator.sdk import Drawn, Flowable, Json, Order, Plan, State, TaskFailed, Tasks, Text, text_of, truthy


class Sequential(Flowable):
    """Run tasks one after another."""

    tasks: Tasks = Field(min_length=1, description="The tasks, in order.")

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks)

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": self.tasks}


class AllowFailure(Sequential):
    """Run tasks one after another; a failure among them ends this task in WARNING and the flow goes on."""

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, on_failure=State.WARNING)


class Parallel(Flowable):
    """Run tasks side by side."""

    drawn: ClassVar[Drawn] = Drawn.PARALLEL

    tasks: Tasks = Field(min_length=1, description="The tasks.")
    concurrent: int = Field(0, ge=0, description="How many may run at once; 0: all.")

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        return Plan(tasks=self.tasks, order=Order.PARALLEL, limit=self.concurrent)

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": self.tasks}


class If(Flowable):
    """Run one list of tasks when a condition holds, another when it does not."""

    drawn: ClassVar[Drawn] = Drawn.CHOICE

    condition: bool | Text = Field(description="False when it renders to blank, `false` or a zero.", examples=["{{ inputs.count > 10 }}"])
    then: Tasks = Field(min_length=1, description="The tasks to run when the condition holds.")
    else_: Tasks = Field((), alias="else", description="The tasks to run when it does not.")

    def questions(self) -> Mapping[str, Json]:
        return {"condition": self.condition}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        holds = truthy(answers["condition"])
        branch, tasks = ("then", self.then) if holds else ("else", self.else_)
        return Plan(branch=branch, tasks=tasks, outputs={"evaluationResult": holds})

    def branches(self) -> Mapping[str, Tasks]:
        return {"then": self.then, "else": self.else_}


def _text_keys(value: object) -> object:
    if value is None:
        return {}
    return {text_of(key): tasks for key, tasks in value.items()} if isinstance(value, Mapping) else value


class Switch(Flowable):
    """Run the tasks of the case that a value equals, or the defaults."""

    drawn: ClassVar[Drawn] = Drawn.CHOICE

    value: Text = Field(description="The value to compare with the cases.", examples=["{{ inputs.country }}"])
    cases: Annotated[Mapping[str, Tasks], BeforeValidator(_text_keys)] = Field(default_factory=dict, description="Tasks by value.")
    defaults: Tasks = Field((), description="The tasks to run when no case fits.")

    @model_validator(mode="after")
    def _some_tasks(self) -> Switch:
        if not self.defaults and not any(self.cases.values()):
            raise ValueError("No task defined, neither cases or default have any tasks")
        return self

    def questions(self) -> Mapping[str, Json]:
        return {"value": self.value}

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        value = text_of(answers["value"])
        fits = value in self.cases
        outputs = {"value": value, "defaults": not fits}
        tasks = self.cases[value] if fits else self.defaults
        if not tasks:
            raise TaskFailed(f"No task to run for the value '{value}': it is none of the cases and there are no defaults", outputs=dict(outputs))
        return Plan(branch=f"cases.{value}" if fits else "defaults", tasks=tasks, outputs=outputs)

    def branches(self) -> Mapping[str, Tasks]:
        return {**{f"cases.{key}": tasks for key, tasks in self.cases.items()}, "defaults": self.defaults}
