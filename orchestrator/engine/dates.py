"""What becomes of a trigger with dates of its own: when it is due next, what it makes up for. State and event in, state out.

Every date is due once: what comes next is counted from the date that was due, never from the clock, so that a clock
that goes back brings none again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrator.engine.trigger_events import BackfillAsked, Calendar, Definition, Event, Fell, Kind, Late, ServerBegan, Verb
from orchestrator.model.trigger import Backfill, TriggerState


def first_due(state: TriggerState, definition: Definition, now: datetime) -> datetime | None:
    """When a trigger is due first, once its definition is there or has changed; None: not by time."""
    if not definition.runs:
        return None
    if definition.kind is Kind.DATES:
        return definition.calendar.begins(state.date, now) if definition.calendar is not None else None
    return now if definition.kind.evaluated else None


def on_change(state: TriggerState, definition: Definition, now: datetime) -> TriggerState:
    """Its definition is there, or has changed. A backfill goes on with the dates as they are now."""
    due, active = first_due(state, definition, now), active_backfill(state)
    if active is None or definition.calendar is None or not definition.runs:
        return _with(state, next_execution_date=due, backfill=_kept(state.backfill, definition))
    return _go_on(_with(state, next_execution_date=due), active, definition.calendar.at_or_after(active.current_date, now), due)


def _kept(backfill: Backfill | None, definition: Definition) -> Backfill | None:
    return backfill if definition.kind is Kind.DATES else None


def active_backfill(state: TriggerState) -> Backfill | None:
    """The backfill whose dates are due now."""
    return state.backfill if state.backfill is not None and not state.backfill.paused else None


def on_date(state: TriggerState, event: Event, definition: Definition, now: datetime) -> TriggerState:
    """What an event makes of a state; one that does not fit changes nothing."""
    calendar, due = definition.calendar, state.next_execution_date
    if calendar is None:
        return state
    match event:
        case Fell(date=date) if date == due:
            return _fell(state, event, definition, calendar, now)
        case Late() if due is not None and active_backfill(state) is None:
            return _with(state, next_execution_date=calendar.in_time(due, now), updated_date=now)
        case ServerBegan():
            return _made_up(state, calendar, now)
        case BackfillAsked(backfill=backfill):
            return _backfilled(state, backfill, calendar, now)
    return state


def _fell(state: TriggerState, event: Fell, definition: Definition, calendar: Calendar, now: datetime) -> TriggerState:
    state = _with(state, execution_id=None if definition.concurrent else event.execution_id, updated_date=now)
    active = active_backfill(state)
    if active is not None:
        return _go_on(state, active, calendar.next(event.date, now, however_late=True), active.previous_next_execution_date)
    return _with(state, date=event.date, next_execution_date=calendar.next(event.date, now))


def _go_on(state: TriggerState, backfill: Backfill, following: datetime | None, own: datetime | None) -> TriggerState:
    """With the next date of a backfill; after its last with the trigger's own."""
    if following is None or following > backfill.end:
        return _with(state, backfill=None, next_execution_date=own)
    further = backfill.model_copy(update={"current_date": following, "previous_next_execution_date": own})
    return _with(state, backfill=further, next_execution_date=following)


def _made_up(state: TriggerState, calendar: Calendar, now: datetime) -> TriggerState:
    """What was due while the server was down, as the trigger wants it. A backfill goes on where it was; what is due beside it is looked at."""
    active = active_backfill(state)
    own = active.previous_next_execution_date if active is not None else state.next_execution_date
    if own is None or own > now:
        return state
    due = calendar.after_downtime(own, now)
    if active is None:
        return _with(state, next_execution_date=due)
    return _with(state, backfill=active.model_copy(update={"previous_next_execution_date": due}))


# --- backfills


def _backfilled(state: TriggerState, asked: Backfill, calendar: Calendar, now: datetime) -> TriggerState:
    """It begins at once; one that goes on already is given up for it."""
    active = active_backfill(state)
    own = active.previous_next_execution_date if active is not None else state.next_execution_date
    return _go_on(_with(state, updated_date=now), asked, calendar.at_or_after(asked.start, now), own)


def on_backfill(state: TriggerState, verb: Verb, now: datetime) -> TriggerState:
    """Pause a backfill, go on with it, or give it up."""
    backfill = state.backfill
    if backfill is None:
        return state
    active = not backfill.paused
    match verb:
        case Verb.PAUSE_BACKFILL if active:
            paused = backfill.model_copy(update={"paused": True})
            return _with(state, backfill=paused, next_execution_date=backfill.previous_next_execution_date, updated_date=now)
        case Verb.UNPAUSE_BACKFILL if not active:
            further = backfill.model_copy(update={"paused": False, "previous_next_execution_date": state.next_execution_date})
            return _with(state, backfill=further, next_execution_date=backfill.current_date, updated_date=now)
        case Verb.DELETE_BACKFILL:
            own = backfill.previous_next_execution_date if active else state.next_execution_date
            return _with(state, backfill=None, next_execution_date=own, updated_date=now)
    return state


def _with(state: TriggerState, **facts: Any) -> TriggerState:
    return state.model_copy(update=facts)
