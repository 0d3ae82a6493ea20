"""Tasks that wait for each other as a graph says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from orchestrator.sdk import Drawn, Flowable, Json, Order, Plan, PluginModel, Tasks, TaskSpec


class Node(PluginModel):
    """A task and the ids of the tasks it waits for."""

    task: TaskSpec
    depends_on: Annotated[tuple[str, ...], BeforeValidator(lambda value: () if value is None else value)] = ()


def circular(waits_for: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The ids that wait for themselves, directly or by way of others, in the graph's order."""

    def reaches(start: str) -> bool:
        seen: set[str] = set()
        ahead = list(waits_for[start])
        while ahead:
            task_id = ahead.pop()
            if task_id == start:
                return True
            if task_id not in seen:
                seen.add(task_id)
                ahead.extend(waits_for.get(task_id, ()))
        return False

    return tuple(task_id for task_id in waits_for if reaches(task_id))


class Dag(Flowable):
    """Run each task as soon as the tasks it depends on have ended well."""

    drawn: ClassVar[Drawn] = Drawn.GRAPH

    tasks: tuple[Node, ...] = Field(min_length=1, description="The tasks, each with the ids it depends on.")
    concurrent: int = Field(0, ge=0, description="How many may run at once; 0: all.")

    @field_validator("tasks")
    @classmethod
    def _is_a_graph(cls, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        waits_for = {node.task.id: node.depends_on for node in nodes}
        unknown = [task_id for node in nodes for task_id in node.depends_on if task_id not in waits_for]
        if unknown:
            raise ValueError(f"Not existing task id in dependency: {', '.join(dict.fromkeys(unknown))}")
        if round_trip := circular(waits_for):
            raise ValueError(f"Cyclic dependency detected: {', '.join(round_trip)}")
        return nodes

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        waits_for = {node.task.id: node.depends_on for node in self.tasks}
        return Plan(tasks=self.branches()["tasks"], order=Order.GRAPH, limit=self.concurrent, waits_for=waits_for)

    def branches(self) -> Mapping[str, Tasks]:
        return {"tasks": tuple(node.task for node in self.tasks)}
