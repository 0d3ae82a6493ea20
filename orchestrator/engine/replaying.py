"""A new execution made of an old one: whole, from one of its task runs on, or from what failed in it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from orchestrator.engine.leads import Roster
from orchestrator.engine.reopening import NOTHING_YET, Reopened, Rows
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Refused
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.state import Lifecycle
from orchestrator.sdk.task import Order


def cut_at(view: ExecutionView, run_id: str, now: datetime) -> Reopened:
    """The execution as if a task run were about to begin: what does not come after it stays, as it ended.

    Raises Conflict for an execution that goes on, Refused for an unknown task run.
    """
    rows = Rows(view, now)
    run_id = rows.unit(rows.known(run_id).id)
    for above in rows.lineage([run_id]):
        _drop_later(rows, rows.runs[above])
    rows.open_leaders([run_id])
    rows.begin_again(run_id)
    return rows.reopened()


def _drop_later(rows: Rows, run: TaskRun) -> None:
    """Drop what its leader would have begun only after this run."""
    lead = rows.view.root if run.parent_id is None else rows.view.lead(rows.runs[run.parent_id])
    roster = lead.roster(run.branch)
    followers = _followers(roster, run.task_id)
    for other in rows.below(run.parent_id):
        if other.branch == run.branch and other.id != run.id and _is_later(roster, run, other, followers):
            rows.drop(other.id)


def _is_later(roster: Roster, run: TaskRun, other: TaskRun, followers: Collection[str]) -> bool:
    """Iterations that run beside each other are not later than each other. Of those that follow one another, what comes
    before the task is kept in the later ones too."""
    if other.iteration == run.iteration:
        return other.task_id in followers
    if roster.limit != 1 or run.iteration is None or other.iteration is None or other.iteration < run.iteration:
        return False
    return other.task_id == run.task_id or other.task_id in followers


def _followers(roster: Roster, task_id: str) -> Collection[str]:
    """The tasks of a list that begin only once this one has ended."""
    match roster.order:
        case Order.SEQUENTIAL:
            return {task.id for task in roster.tasks[roster.position[task_id] + 1 :]}
        case Order.GRAPH:
            return _dependent(roster, task_id)
    return ()


def _dependent(roster: Roster, task_id: str) -> set[str]:
    found, todo = set[str](), [task_id]
    while todo:
        needed = todo.pop()
        more = {task for task, needs in roster.waits_for.items() if needed in needs} - found
        found |= more
        todo.extend(more)
    return found


# --- new executions


def fresh(old: Execution, new_id: str, now: datetime) -> Execution:
    """A new execution with what started the old one, at its beginning."""
    begun = {"state": Lifecycle.begin(now), "outputs": {}, "variables": {}, "vars": None, "task_run_count": 0, **NOTHING_YET}
    return _child(old, new_id).model_copy(update=begun | {"metadata": _next_attempt(old)})


def copied(reopened: Reopened, execution_id: str, flow: Flow, new_id: Callable[[], str]) -> tuple[Execution, tuple[TaskRun, ...]]:
    """A new execution of `flow` (another revision of the same one, perhaps) that goes on where the old one was set back to."""
    execution = _child(reopened.execution, execution_id).model_copy(update={"flow_revision": flow.revision})
    ids = {run.id: new_id() for run in reopened.runs}
    return execution, tuple(
        run.model_copy(update={"id": ids[run.id], "execution_id": execution_id, "parent_id": ids.get(run.parent_id or ""), "job": None})
        for run in reopened.runs
    )


def _child(old: Execution, new_id: str) -> Execution:
    return old.model_copy(update={"id": new_id, "parent_id": old.id, "original_id": old.original_id or old.id, "version": 1, "schedule_date": None})


def _next_attempt(old: Execution) -> object:
    return old.metadata.model_copy(update={"attempt_number": old.metadata.attempt_number + 1})


def check_revision(view: ExecutionView) -> None:
    """That every task run is of a task that the view's flow has, where it stood. Raises Refused."""
    for run in view.runs:
        try:
            view.spec(run)
        except LookupError as err:
            raise Refused(f"Task '{run.task_id}' is not in revision {view.execution.flow_revision} where the execution has it") from err
