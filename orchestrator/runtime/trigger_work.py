"""A trigger as something that runs: one look, or listening for as long as it is let."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from orchestrator.errors import OrchestratorError, TaskFailed
from orchestrator.model.dispatch import FOUND, Dispatch
from orchestrator.model.values import Json
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.sdk import Files, PollingTrigger, RealtimeTrigger, RunContext, Task, Trigger, Workspace


class Runs(Protocol):
    """What a dispatch has done: a task is one, a trigger's evaluation another."""

    def run(self, ctx: RunContext) -> Mapping[str, Json] | None: ...


class Emits(Protocol):
    """Where a listener's emits go."""

    def emit(self, variables: Mapping[str, Json]) -> None: ...


def plugin_of(dispatch: Dispatch, built: BuiltTasks) -> Task | Workspace | Trigger:
    """The task, workspace or trigger of a dispatch. Raises TaskFailed when it is not installed here."""
    return built.task(dispatch.spec) if dispatch.kind == "task" else built.trigger(dispatch.spec)


def work_of(plugin: Task | Trigger, emits: Emits) -> Runs:
    """What is done of a task or trigger."""
    return TriggerWork(plugin, emits.emit) if isinstance(plugin, Trigger) else plugin


class TriggerWork:
    """One evaluation. What a look keeps and does not start anything for is removed again."""

    def __init__(self, trigger: Trigger, emit: Callable[[Mapping[str, Json]], None]) -> None:
        self._trigger, self._emit = trigger, emit

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        match self._trigger:
            case PollingTrigger():
                return self._look(self._trigger, ctx)
            case RealtimeTrigger():
                self._trigger.listen(ctx, self._emit)
                return {}
        raise TaskFailed(f"{self._trigger.type} is not a trigger that a worker can evaluate")

    def _look(self, trigger: PollingTrigger, ctx: RunContext) -> Mapping[str, Json]:
        files = NotedFiles(ctx.files)
        ctx.files = cast(Files, files)
        variables: Mapping[str, Json] | None = None
        try:
            variables = trigger.evaluate(ctx)
        finally:
            if variables is None:
                files.forget()
        return {FOUND: dict(variables)} if variables is not None else {}


class NotedFiles:
    """Files that remember whether anything was kept."""

    def __init__(self, files: Files) -> None:
        self._files, self._kept = files, False

    def put(self, source: Path | BinaryIO, name: str) -> str:
        self._kept = True
        return self._files.put(source, name)

    def forget(self) -> None:
        """Remove what was kept, if anything was."""
        if self._kept:
            with suppress(OrchestratorError):  # of a look that failed, the failure is what must be told
                self._files.purge()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)
