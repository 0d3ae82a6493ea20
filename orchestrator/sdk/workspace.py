"""A flowable whose tasks run on one worker, in one folder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from pydantic import Field

from orchestrator.model.flow import TaskSpec
from orchestrator.model.values import Json
from orchestrator.sdk.context import RunContext
from orchestrator.sdk.task import Flowable, Plan, Tasks

ROUND = "round"  # the answer that counts how often its worker was lost: each time all of its tasks run anew


class Workspace(Flowable):
    """It has a place on a worker, and one of its slots, until all of its tasks have ended; they run there one after another.

    `open` is called there before the first of them and `close` after the last, whatever became of them; for all of them
    `ctx.working_dir()` is the same folder. When the worker is lost, so is the folder: everything begins anew on another one.
    """

    tasks: Tasks = Field(description="The tasks, in order.")

    def plan(self, answers: Mapping[str, Json]) -> Plan:
        lost = int(answers.get(ROUND, 0))
        return Plan(tasks=self.tasks, branch=f"tasks.{lost}" if lost else "tasks")

    def branches(self) -> Mapping[str, tuple[TaskSpec, ...]]:
        return {"tasks": self.tasks}

    @abstractmethod
    def open(self, ctx: RunContext) -> None:
        """Prepare the folder. Raises TaskFailed (or any other error) to fail before any of its tasks runs."""

    @abstractmethod
    def close(self, ctx: RunContext) -> Mapping[str, Json]:
        """Take out of the folder what is to be kept, and return the outputs. The folder is removed afterwards."""
