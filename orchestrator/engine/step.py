"""What one event changes in one execution, and what is to be done about it. Pure: the same arguments, the same decision."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.aftermath import LISTENING, on_listeners
from orchestrator.engine.draft import Advance, Begin, Draft, GiveWay
from orchestrator.engine.endings import OUTPUTS, close_execution
from orchestrator.engine.events import (
    Decision,
    Evaluated,
    Event,
    KillAsked,
    PauseAsked,
    ResumeAsked,
    RunEnded,
    RunLost,
    RunOpened,
    RunReached,
    RunReceived,
    RunRefused,
    RunStopped,
    Started,
    TimerFired,
    TimerKind,
)
from orchestrator.engine.flowables import BEFORE, PLAN, begin, on_before, on_plan
from orchestrator.engine.killing import give_way, on_kill
from orchestrator.engine.pausing import on_pause, on_pause_over, on_resume
from orchestrator.engine.repeating import UNTIL, on_round_due, on_until
from orchestrator.engine.runs import on_ended, on_lost, on_queue_timeout, on_reached, on_received, on_refused, on_retry_due, on_stopped, on_timeout
from orchestrator.engine.scopes import advance, end_state
from orchestrator.engine.sla import SLA, on_assertions, on_deadline, set_deadlines
from orchestrator.engine.view import ExecutionView, Resolve
from orchestrator.engine.workspaces import on_opened
from orchestrator.model.log import Level
from orchestrator.model.state import State

_TIMERS = {
    TimerKind.RETRY: on_retry_due,
    TimerKind.TIMEOUT: on_timeout,
    TimerKind.QUEUE_TIMEOUT: on_queue_timeout,
    TimerKind.PAUSE: on_pause_over,
    TimerKind.ROUND: on_round_due,
}
_BEGINS = frozenset({TimerKind.RETRY, TimerKind.ROUND})  # what begins something new
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
                if not draft.held:  # it is begun when the execution is resumed
                    begin(draft, run_id)
            case GiveWay(stops=stops):
                (on_kill if stops else give_way)(draft)
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
        case RunOpened():
            on_opened(draft, event)
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
        case PauseAsked():
            on_pause(draft)
        case ResumeAsked():
            on_resume(draft, event)
        case TimerFired():
            _on_timer(draft, event)


def _on_timer(draft: Draft, event: TimerFired) -> None:
    if event.kind is TimerKind.SLA:
        on_deadline(draft)
        return
    run = draft.run(event.task_run_id or "")
    if run is not None and not run.state.current.ended and not (draft.held and event.kind in _BEGINS):
        _TIMERS[event.kind](draft, run)


def start(draft: Draft) -> None:
    """Let the execution run, if it has not begun."""
    if draft.execution.state.current in _STARTABLE:
        draft.amend(state=draft.execution.state.to(State.RUNNING, draft.now))
        draft.todo.append(Advance(None))
        set_deadlines(draft)


def _on_evaluated(draft: Draft, event: Evaluated) -> None:
    if draft.held:  # asked again when the execution is resumed
        return
    if event.question == SLA:
        if on_assertions(draft, event):
            advance(draft, Advance(None), kept=True)
    elif event.question == LISTENING:
        if on_listeners(draft, event):
            draft.todo.append(Advance(None))
    elif event.question == UNTIL:
        on_until(draft, event)
    elif event.question == BEFORE:
        on_before(draft, event)
    elif event.question == PLAN:
        on_plan(draft, event)
    elif event.question == OUTPUTS:
        _on_outputs(draft, event)


def _on_outputs(draft: Draft, event: Evaluated) -> None:
    """End the execution with its outputs; outputs that cannot be had fail it."""
    if draft.execution.state.current is not State.RUNNING or draft.counters.active(None):
        return
    if event.error is not None and draft.leaving is not None:  # they may be of tasks that never ran
        draft.say(Level.WARN, f"The execution ends without its outputs: {event.error}")
        close_execution(draft, draft.leaving.state)
    elif event.error is not None:
        draft.say(Level.ERROR, event.error)
        close_execution(draft, State.FAILED)
    else:
        close_execution(draft, end_state(draft, draft.view.root), event.answers)
