"""What one event changes in one execution, and what is to be done about it. Pure: the same arguments, the same decision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.draft import Advance, Begin, Draft
from orchestrator.engine.endings import OUTPUTS, close_execution
from orchestrator.engine.events import (
    Decision,
    Evaluated,
    Event,
    KillAsked,
    RunEnded,
    RunLost,
    RunReached,
    RunReceived,
    RunRefused,
    RunStopped,
    Started,
    TimerFired,
    TimerKind,
)
from orchestrator.engine.flowables import BEFORE, PLAN, begin, on_before, on_plan
from orchestrator.engine.killing import on_kill
from orchestrator.engine.runs import on_ended, on_lost, on_queue_timeout, on_reached, on_received, on_refused, on_retry_due, on_stopped, on_timeout
from orchestrator.engine.scopes import advance, end_state
from orchestrator.engine.view import ExecutionView, Resolve
from orchestrator.model.log import Level
from orchestrator.model.state import State

_TIMERS = {TimerKind.RETRY: on_retry_due, TimerKind.TIMEOUT: on_timeout, TimerKind.QUEUE_TIMEOUT: on_queue_timeout}
_STARTABLE = frozenset({State.CREATED, State.QUEUED, State.RESTARTED})


def step(view: ExecutionView, event: Event, now: datetime, new_id: Callable[[], str], resolve: Resolve) -> Decision:
    """Decide on one event. The rows of `view` stay as they are: the caller saves the decision, then applies it.

    `resolve` gives the flowable behind a task, None for one that does something. An event that no longer fits
    (an old lease, an ended run, an answer nobody waits for) gives an empty decision.
    """
    draft = Draft(view, now, new_id, resolve)
    _take(draft, event)
    settle(draft)
    return draft.decision()


def settle(draft: Draft) -> None:
    """Do all the work that changes brought, and that brings, until none is left."""
    while draft.todo:
        match draft.todo.popleft():
            case Begin(run_id=run_id):
                begin(draft, run_id)
            case Advance() as touched:
                advance(draft, touched)


def _take(draft: Draft, event: Event) -> None:
    match event:
        case Started():
            start(draft)
        case Evaluated():
            _on_evaluated(draft, event)
        case RunReceived():
            on_received(draft, event)
        case RunReached():
            on_reached(draft, event)
        case RunEnded():
            on_ended(draft, event)
        case RunLost():
            on_lost(draft, event)
        case RunRefused():
            on_refused(draft, event)
        case RunStopped():
            on_stopped(draft, event)
        case KillAsked():
            on_kill(draft)
        case TimerFired(kind=kind, task_run_id=run_id):
            run = draft.run(run_id or "")
            if run is not None and not run.state.current.ended:
                _TIMERS[kind](draft, run)


def start(draft: Draft) -> None:
    """Let the execution run, if it has not begun."""
    if draft.execution.state.current in _STARTABLE:
        draft.amend(state=draft.execution.state.to(State.RUNNING, draft.now))
        draft.todo.append(Advance(None))


def _on_evaluated(draft: Draft, event: Evaluated) -> None:
    if event.question == BEFORE:
        on_before(draft, event)
    elif event.question == PLAN:
        on_plan(draft, event)
    elif event.question == OUTPUTS:
        _on_outputs(draft, event)


def _on_outputs(draft: Draft, event: Evaluated) -> None:
    """End the execution with its outputs; outputs that cannot be had fail it."""
    if draft.execution.state.current is not State.RUNNING or draft.counters.active(None):
        return
    if event.error is not None:
        draft.say(Level.ERROR, event.error)
        close_execution(draft, State.FAILED)
    else:
        close_execution(draft, end_state(draft, draft.view.root), event.answers)
