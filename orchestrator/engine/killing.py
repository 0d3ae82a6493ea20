"""How an execution is ended by a person: nothing new starts, what runs is stopped, what was not sent ends at once."""

from __future__ import annotations

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.endings import closed, end_run
from orchestrator.engine.events import StopRun
from orchestrator.engine.standing import dispatched
from orchestrator.model.execution import Cause, TaskRun
from orchestrator.model.state import State

_WAITING = frozenset({State.CREATED, State.RESTARTED, State.PAUSED, State.RETRYING})


def on_kill(draft: Draft) -> None:
    """Kill the whole execution, or what runs after its end; killing twice changes nothing."""
    if not draft.killing:
        stop_all(draft)
        draft.todo.append(Advance(None))


def stop_all(draft: Draft) -> None:
    """Let nothing new begin, and have all that runs stopped. Of an execution that has ended only what runs after it."""
    if not draft.execution.state.current.ended:
        draft.amend(state=draft.execution.state.to(State.KILLING, draft.now))
    for run in reversed(draft.view.active()):  # children before their leaders
        known = draft.known(run.id)
        if not known.state.current.ended:
            _kill(draft, known)


def give_way(draft: Draft) -> None:
    """Nothing new begins in the execution: what runs may end, what waits for something is given up."""
    if draft.execution.state.current is State.PAUSED:
        for state in (State.RESTARTED, State.RUNNING):
            draft.amend(state=draft.execution.state.to(state, draft.now))
    for run in reversed(draft.view.active()):
        known = draft.known(run.id)
        if _waits(known) and not draft.counters.active(known.id):
            _kill(draft, known)


def _waits(run: TaskRun) -> bool:
    """Whether nothing of a run goes on, and it is to begin or to go on later."""
    return not dispatched(run) and (run.state.current in _WAITING or (run.state.current is State.RUNNING and run.due is not None))


def _kill(draft: Draft, run: TaskRun) -> None:
    if run.state.current is State.KILLING:
        return
    if dispatched(run):
        draft.change(run, state=run.state.to(State.KILLING, draft.now), due=None)
        draft.commands.append(StopRun(run.id, run.lease, Cause.KILLED))
    elif draft.counters.active(run.id):
        draft.change(run, state=run.state.to(State.KILLING, draft.now))
    else:
        end_run(draft, run, State.KILLED, cause=Cause.KILLED, attempts=closed(run.attempts, State.KILLED, draft.now))
