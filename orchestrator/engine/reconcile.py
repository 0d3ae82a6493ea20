"""How an execution is taken up from its rows, after a crash or because a person set it back: all that is not saved and follows from what is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.draft import Advance, Begin, Draft
from orchestrator.engine.events import Decision, SetTimer, TimerKind
from orchestrator.engine.flowables import ask_plan
from orchestrator.engine.runs import dispatched, received, unbegun
from orchestrator.engine.step import settle, start
from orchestrator.engine.view import ExecutionView, Resolve
from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State


def reconcile(view: ExecutionView, now: datetime, resolve: Resolve, new_id: Callable[[], str]) -> Decision:
    """Questions without an answer, timers, and the start of an execution that never began.

    Runs and stops are not sent again here: the outbox holds them.
    """
    draft = Draft(view, now, new_id, resolve)
    if draft.execution.state.current is State.CREATED:
        start(draft)
    elif not draft.execution.state.current.ended and draft.execution.state.current is not State.QUEUED:
        if draft.execution.state.current is State.RESTARTED:
            draft.amend(state=draft.execution.state.to(State.RUNNING, draft.now))
        for run in view.active():
            _take_up(draft, run)
        draft.todo.append(Advance(None))
    settle(draft)
    return draft.decision()


def _take_up(draft: Draft, run: TaskRun) -> None:
    if dispatched(run):
        if run.due is not None:
            draft.commands.append(SetTimer(TimerKind.TIMEOUT if received(run) else TimerKind.QUEUE_TIMEOUT, run.due, run.id))
    elif run.state.current is State.RETRYING:
        if run.due is not None:
            draft.commands.append(SetTimer(TimerKind.RETRY, run.due, run.id))
    elif unbegun(run):
        draft.todo.append(Begin(run.id))
    elif run.answers is not None or draft.killing:
        _note_idle(draft, run)
        draft.todo.append(Advance(run.id))
    else:
        flowable = draft.resolve(draft.spec(run))
        if flowable is not None:
            ask_plan(draft, run, flowable)


def _note_idle(draft: Draft, run: TaskRun) -> None:
    """Find the iterations that were begun, have nothing going on and are not through: a failure or a kill kept them from it."""
    if run.answers is None:
        return
    roster = draft.lead(run.id).main
    if roster.values is None:
        return
    lists = ((i, draft.counters.list((run.id, roster.branch, i))) for i in range(draft.counters.branch((run.id, roster.branch)).begun))
    draft.view.idle[(run.id, roster.branch)] = deque(i for i, so_far in lists if not so_far.active and roster.after(so_far.last) is not None)
