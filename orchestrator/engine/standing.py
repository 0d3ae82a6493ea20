"""Where a task run stands between the engine and the places that do the work."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.engine.draft import Draft
from orchestrator.model.execution import PhaseName, TaskRun
from orchestrator.model.state import State
from orchestrator.sdk.workspace import ROUND


def dispatched(run: TaskRun) -> bool:
    """Whether a place has the run, or is to get it: its present lease is out."""
    if run.state.current is State.RESTARTED:
        return bool(run.phases)  # emptied when it was set back, begun anew when it is sent
    return run.lease > 0 and (run.state.current is not State.RETRYING or all(phase.name is not PhaseName.ENDED for phase in run.phases))


def attempt_number(run: TaskRun) -> int:
    """Which of the user's attempts a run is at, from 0: starts that failed are none."""
    return sum(attempt.state.current.ended for attempt in run.attempts)


def unbegun(run: TaskRun) -> bool:
    """Whether nothing has been decided about a run yet: it was created, or set back to its beginning."""
    return run.state.current in (State.CREATED, State.RESTARTED) and not dispatched(run)


def received(run: TaskRun) -> bool:
    """Whether a place has begun the run under its present lease."""
    return dispatched(run) and any(phase.name is PhaseName.RECEIVED for phase in run.phases)


def is_home(run: TaskRun) -> bool:
    """Whether it is a workspace whose folder was ready once: of all that lead others only these are sent anywhere."""
    return isinstance(run.answers, Mapping) and ROUND in run.answers


def opened(run: TaskRun) -> bool:
    """Whether the folder of a workspace is ready for its tasks."""
    return is_home(run) and dispatched(run) and any(phase.name is PhaseName.RUNNING for phase in run.phases)


def lacks_folder(run: TaskRun) -> bool:
    """Whether it is a workspace whose folder is gone, and not ready anew."""
    return is_home(run) and not opened(run)


def current_run(draft: Draft, run_id: str, lease: int) -> TaskRun | None:
    """The run that a report speaks of; None when it has ended or the report's lease is an old one."""
    run = draft.run(run_id)
    return None if run is None or run.lease != lease or run.state.current.ended or not dispatched(run) else run


def workspace_of(draft: Draft, run: TaskRun) -> TaskRun | None:
    """The workspace that a run is of, or that it is."""
    while not is_home(run):
        if run.parent_id is None:
            return None
        run = draft.known(run.parent_id)
    return run
