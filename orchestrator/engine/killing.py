"""How an execution is ended by a person: nothing new starts, what runs is stopped, what was not sent ends at once."""

from __future__ import annotations

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.endings import closed, end_run
from orchestrator.engine.events import StopRun
from orchestrator.engine.runs import dispatched
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.state import State


def on_kill(draft: Draft) -> None:
    """Kill the whole execution; killing twice, or after the end, changes nothing."""
    if draft.killing or draft.execution.state.current.ended:
        return
    draft.amend(state=draft.execution.state.to(State.KILLING, draft.now))
    for run in reversed(draft.view.active()):  # children before their leaders
        _kill(draft, run)
    draft.todo.append(Advance(None))


def _kill(draft: Draft, run: TaskRun) -> None:
    if dispatched(run):
        draft.change(run, state=run.state.to(State.KILLING, draft.now), due=None)
        draft.commands.append(StopRun(run.id, run.lease, Cause.KILLED))
    elif draft.counters.active(run.id):
        draft.change(run, state=run.state.to(State.KILLING, draft.now))
    else:
        end_run(draft, run, State.KILLED, cause=Cause.KILLED, attempts=closed(run.attempts, State.KILLED, draft.now))
