"""How an execution is taken up from its rows, after a crash or because a person set it back: all that is not saved and follows from what is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from orchestrator.engine.draft import Advance, Draft
from orchestrator.engine.events import Decision
from orchestrator.engine.sla import set_deadlines
from orchestrator.engine.step import settle, start
from orchestrator.engine.taking_up import take_up
from orchestrator.engine.view import ExecutionView, Resolve
from orchestrator.model.state import State


def reconcile(view: ExecutionView, now: datetime, resolve: Resolve, new_id: Callable[[], str]) -> Decision:
    """Questions without an answer, timers, and the start of an execution that never began.

    Runs and stops are not sent again here: the outbox holds them.
    """
    draft = Draft(view, now, new_id, resolve)
    state = draft.execution.state.current
    if state is State.CREATED:
        start(draft)
    elif state is State.QUEUED:
        set_deadlines(draft)
    else:
        if state is State.RESTARTED:
            draft.amend(state=draft.execution.state.to(State.RUNNING, draft.now))
        set_deadlines(draft)
        for run in view.active():
            take_up(draft, run)
        draft.todo.append(Advance(None))
    settle(draft)
    return draft.decision()
