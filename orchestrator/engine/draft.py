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
from orchestrator.model.execution import Execution, Exit, TaskRun
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


@dataclass(frozen=True, slots=True)
class GiveWay:
    """Nothing new begins in this execution: what waits for something is to be given up, or, with `stops`, all of it stopped."""

    stops: bool = False


class Draft:
    """Rows are read through it and put into it; the view itself stays as it is."""

    def __init__(self, view: ExecutionView, now: datetime, new_id: Callable[[], str], resolve: Resolve) -> None:
        view.resolve = resolve
        self.view, self.now, self.new_id, self.resolve = view, now, new_id, resolve
        self.execution: Execution = view.execution
        self.counters = Counters(view.counters)
        self.seq = view.seq  # of the next run
        self.todo: deque[Begin | Advance | GiveWay] = deque()
        self.commands: list[Command] = []
        self._runs: dict[str, TaskRun] = {}
        self._made = 0
        self._gone: dict[str, None] = {}

    # --- reading

    def run(self, run_id: str) -> TaskRun | None:
        return None if run_id in self._gone else self._runs.get(run_id) or self.view.run(run_id)

    def runs(self) -> list[TaskRun]:
        """All runs, those of this draft included, in the order they were made."""
        made = [run_id for run_id in self._runs if self.view.run(run_id) is None]
        ids = (*(run.id for run in self.view.runs), *made)
        return [run for run_id in ids if (run := self.run(run_id)) is not None]

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

    @property
    def held(self) -> bool:
        """Whether a person has paused the execution: nothing new begins. Where a run waits to be resumed, the others go on."""
        return self.execution.state.current is State.PAUSED and not self.counters.paused

    @property
    def leaving(self) -> Exit | None:
        """How the execution is to end before it is through; None when it goes on, and once it has ended."""
        return None if self.execution.state.current.ended else self.execution.exit

    # --- changing

    def put(self, run: TaskRun) -> None:
        """Change or add a run; when it has ended its leader is looked at."""
        old = self.run(run.id)
        self._made += old is None
        self._runs[run.id] = run
        self.counters.take(old, run)
        if run.state.current.ended and (old is None or not old.state.current.ended):
            self.todo.append(Advance(run.parent_id, run.branch, run.iteration))

    def change(self, run: TaskRun, **fields: Any) -> TaskRun:
        """Put a run with some fields changed, and return it."""
        changed = run.model_copy(update=fields)
        self.put(changed)
        return changed

    def drop(self, run: TaskRun) -> None:
        """Forget a saved run that has ended, and all that it led."""
        for below in self.view.below(run.id):
            self.drop(below)
        self._runs.pop(run.id, None)
        self._gone[run.id] = None
        self.counters.forget(run)

    def amend(self, **fields: Any) -> None:
        """Change fields of the execution."""
        self.execution = self.execution.model_copy(update=fields)

    def say(self, level: Level, message: str, run_id: str | None = None) -> None:
        self.commands.append(Say(level, message, run_id))

    def decision(self) -> Decision:
        """All of it. The version goes up when any row has changed or gone."""
        if not self._runs and not self._gone and self.execution is self.view.execution:
            return Decision(commands=tuple(self.commands))
        before = self.view.execution
        counted = {"version": before.version + 1, "task_run_count": before.task_run_count + self._made - len(self._gone)}
        execution = self.execution.model_copy(update=counted)
        return Decision(execution, tuple(self._runs.values()), tuple(self.commands), tuple(self._gone))
