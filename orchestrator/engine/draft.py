"""A decision in the making: the view with some rows changed over it, and the work that the changes bring."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.engine.counters import Counters
from orchestrator.engine.events import Command, Decision, Say
from orchestrator.engine.leads import Lead
from orchestrator.engine.view import ExecutionView, Resolve
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import TaskSpec
from orchestrator.model.log import Level
from orchestrator.model.state import State


@dataclass(frozen=True, slots=True)
class Begin:
    """A run was created: see what it needs first."""

    run_id: str


@dataclass(frozen=True, slots=True)
class Advance:
    """A list of a leader changed: see what comes next."""

    leader: str | None
    branch: str = ""
    iteration: int | None = None


class Draft:
    """Rows are read through it and put into it; the view itself stays as it is."""

    def __init__(self, view: ExecutionView, now: datetime, new_id: Callable[[], str], resolve: Resolve) -> None:
        view.resolve = resolve
        self.view, self.now, self.new_id, self.resolve = view, now, new_id, resolve
        self.execution: Execution = view.execution
        self.counters = Counters(view.counters)
        self.made = view.execution.task_run_count  # runs, those of this draft included
        self.todo: deque[Begin | Advance] = deque()
        self.commands: list[Command] = []
        self._runs: dict[str, TaskRun] = {}

    # --- reading

    def run(self, run_id: str) -> TaskRun | None:
        return self._runs.get(run_id) or self.view.run(run_id)

    def known(self, run_id: str) -> TaskRun:
        """A run that must be there. Raises LookupError."""
        run = self.run(run_id)
        if run is None:
            raise LookupError(f"there is no task run {run_id}")
        return run

    def lead(self, leader: str | None) -> Lead:
        return self.view.root if leader is None else self._lead(self.known(leader))

    def _lead(self, run: TaskRun) -> Lead:
        return self.view.lead(run)

    def spec(self, run: TaskRun) -> TaskSpec:
        return self.lead(run.parent_id).spec(run.branch, run.task_id)

    def ancestors(self, run: TaskRun) -> list[TaskSpec]:
        """The flowable tasks around a run, nearest first."""
        found = []
        while run.parent_id is not None:
            run = self.known(run.parent_id)
            found.append(self.spec(run))
        return found

    @property
    def killing(self) -> bool:
        return self.execution.state.current is State.KILLING

    # --- changing

    def put(self, run: TaskRun) -> None:
        """Change or add a run; when it has ended its leader is looked at."""
        old = self.run(run.id)
        self._runs[run.id] = run
        self.counters.take(old, run)
        if run.state.current.ended and (old is None or not old.state.current.ended):
            self.todo.append(Advance(run.parent_id, run.branch, run.iteration))

    def change(self, run: TaskRun, **fields: Any) -> TaskRun:
        """Put a run with some fields changed, and return it."""
        changed = run.model_copy(update=fields)
        self.put(changed)
        return changed

    def amend(self, **fields: Any) -> None:
        """Change fields of the execution."""
        self.execution = self.execution.model_copy(update=fields)

    def say(self, level: Level, message: str, run_id: str | None = None) -> None:
        self.commands.append(Say(level, message, run_id))

    def decision(self) -> Decision:
        """All of it. The version goes up when any row has changed."""
        if not self._runs and self.execution is self.view.execution:
            return Decision(commands=tuple(self.commands))
        counted = {"version": self.view.execution.version + 1, "task_run_count": self.made}
        execution = self.execution.model_copy(update=counted)
        return Decision(execution, tuple(self._runs.values()), tuple(self.commands))
