"""How one run is gone on with from its row: after a crash, or once a paused execution is resumed."""

from __future__ import annotations

from collections import deque

from orchestrator.engine.draft import Advance, Begin, Draft
from orchestrator.engine.events import SetTimer, TimerKind
from orchestrator.engine.standing import dispatched, opened, received, unbegun
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State


def take_up(draft: Draft, run: TaskRun) -> None:
    """Whatever the row waits for is asked for again: an answer, a moment, the next task below it."""
    kind = _timer(run)
    if kind is not None:
        if run.due is not None:
            draft.commands.append(SetTimer(kind, run.due, run.id))
        if opened(run):
            draft.todo.append(Advance(run.id))
    elif unbegun(run):
        draft.todo.append(Begin(run.id))
    else:
        _lead_on(draft, run)


def _timer(run: TaskRun) -> TimerKind | None:
    """Which moment a run that does something waits for."""
    if dispatched(run):
        return TimerKind.TIMEOUT if received(run) else TimerKind.QUEUE_TIMEOUT
    return TimerKind.RETRY if run.state.current is State.RETRYING else None


def _lead_on(draft: Draft, run: TaskRun) -> None:
    """Go on with a leader: it waits to be resumed, or for its next round, or has a plan, or must make one."""
    if run.answers is None and not draft.killing:
        draft.todo.append(Begin(run.id))
        return
    if run.due is not None:
        draft.commands.append(SetTimer(TimerKind.PAUSE if run.state.current is State.PAUSED else TimerKind.ROUND, run.due, run.id))
    _note_idle(draft, run)
    draft.todo.append(Advance(run.id))


def _note_idle(draft: Draft, run: TaskRun) -> None:
    """Find the iterations that were begun, have nothing going on and are not through: a failure or a kill kept them from it."""
    if run.answers is None:
        return
    roster = draft.lead(run.id).main
    if roster.values is None:
        return
    lists = ((i, draft.counters.list((run.id, roster.branch, i))) for i in range(draft.counters.branch((run.id, roster.branch)).begun))
    draft.view.idle[(run.id, roster.branch)] = deque(i for i, so_far in lists if not so_far.active and roster.after(so_far.last) is not None)
