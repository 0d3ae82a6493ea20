"""A task whose own description is a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, RunContext, Task, TaskFailed, Text


class TemplatedTask(Task):
    """Run the task that a rendered YAML text describes; its outputs are this task's."""

    isolated: ClassVar[bool] = True  # the task that is described may need it

    spec: Dynamic[Text] = Field(description="The task, as YAML; its id is not needed.", examples=["type: io.kestra.plugin.core.debug.Return\nformat: hello"])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        task = ctx.task(ctx.render(self.spec))
        if isinstance(task, TemplatedTask):
            raise TaskFailed(f"The templated task cannot be of type '{self.type}'")
        if not isinstance(task, Task):
            raise TaskFailed("The templated task must be a runnable task")
        return task.run(ctx)
