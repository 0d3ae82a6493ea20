"""Sets an ended execution back, as far as a person asked: what begins again, who leads it, what is forgotten.

Only rows are decided on here; `reconcile` takes them up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.engine.leads import ERRORS, FINALLY, is_after
from orchestrator.engine.standing import is_home
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Conflict, Refused
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.state import State

NO_TASK = "No task found to restart execution from!"
NOTHING_YET: dict[str, object] = {"after": None, "unheard": None, "broken_sla": None, "exit": None}  # of an execution that begins, or goes on


@dataclass(frozen=True)
class Reopened:
    """An execution set back to RESTARTED: its rows whole, in order, and the ids of the task runs that are no more."""

    execution: Execution
    runs: tuple[TaskRun, ...]
    gone: tuple[str, ...] = ()


class Rows:
    """The task runs of an ended execution while they are set back. Raises Conflict for one that goes on."""

    def __init__(self, view: ExecutionView, now: datetime) -> None:
        if not view.execution.current.ended or view.active():
            raise Conflict(f"Execution '{view.execution.id}' must be terminated, its state is {view.execution.current}")
        self.view, self.now = view, now
        self.runs = {run.id: run for run in view.runs}
        self._below: dict[str | None, list[str]] = defaultdict(list)
        for run in view.runs:
            self._below[run.parent_id].append(run.id)
        self._gone: list[str] = []

    def known(self, run_id: str) -> TaskRun:
        """A task run. Raises Refused for one that is not of this execution."""
        if run_id not in self.runs:
            raise Refused(NO_TASK)
        return self.runs[run_id]

    def unit(self, run_id: str) -> str:
        """What must begin again for a run to do so: the workspace around it, whose folder is gone; else the run itself."""
        at: str | None = run_id
        while at is not None:
            if is_home(self.runs[at]):
                return at
            at = self.runs[at].parent_id
        return run_id

    def below(self, leader: str | None) -> Sequence[TaskRun]:
        """What a leader led, that is still there, oldest first."""
        return [self.runs[run_id] for run_id in self._below[leader] if run_id in self.runs]

    def drop(self, run_id: str) -> None:
        """Forget a task run and all that it led."""
        self.drop_below(run_id)
        if self.runs.pop(run_id, None) is not None:
            self._gone.append(run_id)

    def drop_below(self, leader: str) -> None:
        for run in self.below(leader):
            self.drop(run.id)

    def lineage(self, targets: Iterable[str]) -> list[str]:
        """The task runs named and all leaders above them, leaders first."""
        found: set[str] = set()
        for target in targets:
            at: str | None = target
            while at is not None and at not in found:
                found.add(at)
                at = self.runs[at].parent_id
        return [run_id for run_id in self.runs if run_id in found]

    def open_leaders(self, targets: Iterable[str]) -> None:
        """Let every leader above the targets go on. What ran because of its end, `errors` and `finally`, is to run anew."""
        targets = tuple(targets)
        lineage = self.lineage(targets)
        self._drop_endings(None, lineage)
        for run_id in lineage:
            if run_id in self.runs and run_id not in targets:
                self._drop_endings(run_id, lineage)
                run = self.runs[run_id]
                self.runs[run_id] = run.model_copy(update={"state": run.state.by_hand(State.RUNNING, self.now), "cause": None, "error": None})

    def _drop_endings(self, leader: str | None, lineage: Sequence[str]) -> None:
        reached = min(_stage(run.branch) for run in self.below(leader) if run.id in lineage)
        for run in self.below(leader):
            if _stage(run.branch) > reached:
                self.drop(run.id)

    def begin_again(self, run_id: str) -> None:
        """Set a task run back to its beginning. A leader whose plan was made goes on, to plan again, without what it led."""
        run = self.runs[run_id]
        self.drop_below(run_id)
        planned = run.lease == 0 and run.answers is not None
        state = run.state.by_hand(State.RUNNING if planned else State.RESTARTED, self.now)
        generation = run.generation + 1 if run.attempts or run.start_failures else 0  # no job of an earlier one is ever adopted
        lease = run.lease + 1 if run.lease else 0  # nothing is sent under it: what still speaks of the last one is not heard
        self.runs[run_id] = run.model_copy(update={**_UNTOUCHED, "state": state, "lease": lease, "generation": generation})

    def reopened(self) -> Reopened:
        """All of it, numbered anew, the execution RESTARTED."""
        runs = tuple(run if run.seq == seq else run.model_copy(update={"seq": seq}) for seq, run in enumerate(self.runs.values()))
        before = self.view.execution
        execution = before.model_copy(
            update={
                "state": before.state.to(State.RESTARTED, self.now),
                "outputs": {},
                **NOTHING_YET,
                "metadata": before.metadata.model_copy(update={"attempt_number": before.metadata.attempt_number + 1}),
                "task_run_count": len(runs),
            }
        )
        return Reopened(execution, runs, tuple(self._gone))


_STAGE = {ERRORS: 1, FINALLY: 2}


def _stage(branch: str) -> int:
    """When a branch runs among those of its leader; one that a plan chose is the main one."""
    return 3 if is_after(branch) else _STAGE.get(branch, 0)


_UNTOUCHED: dict[str, object] = {
    "answers": None,
    "outputs": {},
    "phases": (),
    "placement": None,
    "job": None,
    "cause": None,
    "error": None,
    "cost": None,
    "lost_workers": 0,
    "start_failures": 0,
    "running_since": None,
    "due": None,
}
