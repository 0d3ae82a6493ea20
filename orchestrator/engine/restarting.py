"""An execution goes on from what failed in it, or from a task run whose end a person has changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from orchestrator.engine.leads import is_after
from orchestrator.engine.reopening import NO_TASK, Reopened, Rows
from orchestrator.engine.view import ExecutionView
from orchestrator.errors import Refused
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State


def restarted(view: ExecutionView, now: datetime) -> Reopened:
    """Begin again every task run that failed of itself, not by what it led.

    Raises Conflict for an execution that goes on, Refused for one in which nothing failed.
    """
    rows = Rows(view, now)
    failed = list(dict.fromkeys(rows.unit(run.id) for run in rows.runs.values() if _failed_of_itself(rows, run)))
    if not failed:
        raise Refused(NO_TASK)
    rows.open_leaders(failed)
    for run_id in failed:
        if run_id in rows.runs:  # not one that a leader runs because of another's failure
            rows.begin_again(run_id)
    return rows.reopened()


def _failed_of_itself(rows: Rows, run: TaskRun) -> bool:
    """What ran after the end of the execution is no part of what failed in it."""
    after = run.parent_id is None and is_after(run.branch)
    return not after and run.state.current.failed and not _was_lost(rows, run) and not any(child.state.current.failed for child in rows.below(run.id))


def _was_lost(rows: Rows, run: TaskRun) -> bool:
    """Whether it went with the folder of a workspace that has ended well since."""
    home = rows.unit(run.id)
    return home != run.id and not rows.runs[home].state.current.failed


def marked(view: ExecutionView, run_id: str, state: State, now: datetime) -> Reopened:
    """Let a task run have ended in another state, and the execution go on from there.

    Raises Conflict for an execution that goes on, Refused for an unknown task run or a state that is no end.
    """
    rows = Rows(view, now)
    run = rows.known(run_id)
    if not state.ended or state is State.RETRIED:
        raise Refused(f"A task run cannot be set to {state}")
    if (home := rows.unit(run_id)) != run_id:
        raise Refused(f"Task run '{run_id}' ran in the folder of '{rows.runs[home].task_id}', which is gone: change the state of that, or restart")
    rows.open_leaders([run_id])
    rows.runs[run_id] = run.model_copy(update={"state": run.state.by_hand(state, now), **_last_attempt(run, state, now)})
    return rows.reopened()


def _last_attempt(run: TaskRun, state: State, now: datetime) -> Mapping[str, object]:
    if not run.attempts:
        return {}
    last = run.attempts[-1]
    return {"attempts": (*run.attempts[:-1], last.model_copy(update={"state": last.state.by_hand(state, now)}))}
