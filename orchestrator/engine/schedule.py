"""What becomes of a trigger: when it is evaluated, who does it, when another takes over. State and event in, state and stops out.

Never two evaluations of one trigger at once: the next is sent only once the last is known to be gone, because its place
said so or is dead. What a trigger that is gone has left running is remembered as `leaving` until then.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.engine.dates import active_backfill, first_due, on_backfill, on_change, on_date
from orchestrator.engine.trigger_events import (
    Asked,
    BackfillAsked,
    Called,
    Definition,
    Emitted,
    Ended,
    Event,
    ExecutionOver,
    Fell,
    Halt,
    Heard,
    How,
    Kind,
    Late,
    Leaving,
    Lost,
    Missed,
    Placed,
    Rang,
    Received,
    Removed,
    Saved,
    ServerBegan,
    Skipped,
    Standing,
    Told,
    Verb,
    Verdict,
)
from orchestrator.model.execution import Cause
from orchestrator.model.trigger import Evaluation, TriggerState

RECEIPT = timedelta(seconds=30)  # in which a listener must have been received: no end of it is expected
RENEWAL = timedelta(days=6)  # after which a listener begins anew: the token of its evaluation lasts longer than that, and not for ever
AFTER_LOSS = timedelta(seconds=1)  # until another takes over: processes of a dead worker's are killed by what watches over its machine
STOP_AGAIN = timedelta(seconds=5)  # until a stop that nobody answered is sent again
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=1)  # before a listener that ended by itself begins again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decide(standing: Standing, event: Event, definition: Definition | None, now: datetime) -> Verdict:
    """What an event makes of a trigger. One that does not fit, or speaks for an old lease, changes nothing."""
    state = standing.state
    match event:
        case Saved() if definition is not None:
            return _saved(standing, event, definition, now)
        case Removed():
            return _removed(standing, now)
        case Placed() if definition is not None and may_go(standing, definition, now) and state is not None:
            return Verdict(replace(standing, state=_placed(state, event, definition, now)))
        case Skipped() if definition is not None and may_go(standing, definition, now) and state is not None:
            pause = definition.interval if definition.kind is Kind.POLL else LONGEST_PAUSE
            return Verdict(replace(standing, state=_with(state, date=now, next_execution_date=now + pause, updated_date=now)))
        case Missed() if state is not None:
            return _halted(standing, state, now)
        case Rang():
            return _rang(standing, definition, now)
        case Ended(lease=lease) if standing.leaving is not None and standing.leaving.lease == lease:
            return Verdict(replace(standing, leaving=None))
        case Lost(worker=worker) if standing.leaving is not None and standing.leaving.worker == worker:
            return Verdict(Standing(_not_before(state, now + AFTER_LOSS), None))
    if state is None or definition is None:
        return Verdict(standing)
    match event:
        case ExecutionOver():
            return _over(standing, state, event, definition, now)
        case Asked(verb=verb):
            return _asked(standing, state, verb, definition, now)
        case Fell() | Late() | ServerBegan() | BackfillAsked():
            return Verdict(replace(standing, state=on_date(state, event, definition, now)))
        case Heard(windows=windows, fired=fired):
            return Verdict(replace(standing, state=_with(state, windows=dict(windows), **({"date": now, "updated_date": now} if fired else {}))))
        case Called():
            return Verdict(replace(standing, state=_with(state, date=now, updated_date=now)))
        case Received() | Ended() | Emitted() | Told() | Lost() if state.evaluation is not None:
            return Verdict(replace(standing, state=_of_evaluation(state, state.evaluation, event, definition, now)))
    return Verdict(standing)


def may_go(standing: Standing, definition: Definition, now: datetime) -> bool:
    """Whether it is to be evaluated now, if a worker is found."""
    due = waits_until(standing, definition)
    return due is not None and due <= now


def waits_until(standing: Standing, definition: Definition) -> datetime | None:
    """When it is to be evaluated next; None while something else than time must happen first."""
    state = standing.state
    if state is None or standing.leaving is not None or state.evaluation is not None or state.disabled or not definition.runs:
        return None
    if definition.kind in (Kind.HEARS, Kind.CALLED):
        return None
    if state.execution_id is not None and not definition.concurrent:
        return None
    return state.next_execution_date


def next_moment(standing: Standing, definition: Definition | None) -> datetime | None:
    """When it must be looked at again, whatever happens."""
    if standing.leaving is not None:
        return standing.leaving.due
    if standing.state is not None and standing.state.evaluation is not None:
        return standing.state.evaluation.due
    return waits_until(standing, definition) if definition is not None else None


# --- its definition


def _saved(standing: Standing, event: Saved, definition: Definition, now: datetime) -> Verdict:
    stop_after = tuple(state.value for state in definition.stop_after)
    before = standing.state
    if before is None:
        namespace, flow_id, trigger_id = event.name
        state = TriggerState(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id)
    elif not event.changed:
        return Verdict(replace(standing, state=_with(before, stop_after=stop_after)))
    else:
        state = before
    state = _with(on_change(state, definition, now), stop_after=stop_after, failures=0, windows={}, updated_date=now)
    return _halted(standing, state, now)


def _removed(standing: Standing, now: datetime) -> Verdict:
    """Its state goes at once; what it left running is told to stop, and blocks a trigger of the same name until it has."""
    evaluation = standing.state.evaluation if standing.state is not None else None
    if evaluation is None:
        return Verdict(replace(standing, state=None))
    leaving = Leaving(evaluation.worker, evaluation.lease, now + STOP_AGAIN)
    return Verdict(Standing(None, leaving), Halt(evaluation.worker, evaluation.lease, Cause.KILLED))


# --- its evaluation


def _placed(state: TriggerState, event: Placed, definition: Definition, now: datetime) -> TriggerState:
    lease = max(state.lease + 1, (now - _EPOCH) // timedelta(milliseconds=1))  # beyond those of a trigger of that name that is gone
    polls = definition.kind is Kind.POLL
    evaluation = Evaluation(id=event.evaluation_id, lease=lease, worker=event.worker, since=now, due=now + (definition.timeout if polls else RECEIPT))
    return _with(
        state,
        lease=lease,
        evaluation=evaluation,
        evaluate_running_date=now,
        worker_id=event.worker,
        next_execution_date=state.next_execution_date if polls else None,
        updated_date=now,
    )


def _rang(standing: Standing, definition: Definition | None, now: datetime) -> Verdict:
    leaving, state = standing.leaving, standing.state
    if leaving is not None and leaving.due <= now:
        return Verdict(replace(standing, leaving=replace(leaving, due=now + STOP_AGAIN)), Halt(leaving.worker, leaving.lease, Cause.KILLED))
    evaluation = state.evaluation if state is not None else None
    if state is None or evaluation is None or evaluation.due is None or evaluation.due > now:
        return Verdict(standing)
    polls = definition is not None and definition.kind is Kind.POLL
    cause = evaluation.stopping or (Cause.TIMEOUT if polls else Cause.KILLED)
    begins_anew = definition is None or definition.kind is Kind.LISTEN
    return _halted(standing, _with(state, next_execution_date=now) if begins_anew else state, now, cause)


def _halted(standing: Standing, state: TriggerState, now: datetime, cause: Cause = Cause.KILLED) -> Verdict:
    """The state with its evaluation told to stop, if there is one."""
    evaluation = state.evaluation
    if evaluation is None:
        return Verdict(replace(standing, state=state))
    told = evaluation.model_copy(update={"stopping": cause, "due": now + STOP_AGAIN})
    return Verdict(replace(standing, state=_with(state, evaluation=told)), Halt(evaluation.worker, evaluation.lease, cause))


def _of_evaluation(state: TriggerState, evaluation: Evaluation, event: Event, definition: Definition, now: datetime) -> TriggerState:
    match event:
        case Received(lease=evaluation.lease) if evaluation.received is None:
            due = evaluation.since + RENEWAL if definition.kind is Kind.LISTEN and evaluation.stopping is None else evaluation.due
            return _noted(state, evaluation, received=now, due=due)
        case Emitted(lease=evaluation.lease, number=number) if number > evaluation.emitted:
            return _noted(state, evaluation, emitted=number)
        case Told(lease=evaluation.lease, offset=offset) if offset > evaluation.said:
            return _noted(state, evaluation, said=offset)
        case Ended(lease=evaluation.lease):
            return _ended(state, evaluation, event, definition, now)
        case Lost(worker=evaluation.worker):
            return _lost(state, evaluation, definition, now)
    return state


def _noted(state: TriggerState, evaluation: Evaluation, **facts: Any) -> TriggerState:
    return _with(state, evaluation=evaluation.model_copy(update=facts))


def _ended(state: TriggerState, evaluation: Evaluation, event: Ended, definition: Definition, now: datetime) -> TriggerState:
    idle = _idle(state, evaluation, now)
    if not definition.kind.evaluated:  # it has become a trigger of another kind meanwhile
        return idle.model_copy(update={"date": state.date})
    if event.execution_id is not None and not definition.concurrent:
        idle = _with(idle, execution_id=event.execution_id)
    if event.how is How.HANDED_BACK:
        return _with(idle, next_execution_date=now)
    if event.how is How.STOPPED or evaluation.stopping is Cause.KILLED:
        return idle if idle.next_execution_date is not None else _with(idle, next_execution_date=now)
    if definition.kind is Kind.POLL:
        return _with(idle, next_execution_date=now + definition.interval, failures=0)
    return _paused(idle, evaluation, now)


def _lost(state: TriggerState, evaluation: Evaluation, definition: Definition, now: datetime) -> TriggerState:
    """Another takes over soon; but one that takes its workers along must not take them all as fast as they come."""
    idle = _idle(state, evaluation, now)
    if not definition.kind.evaluated:
        return idle.model_copy(update={"date": state.date})
    if state.failures == 0:
        return _with(idle, next_execution_date=now + AFTER_LOSS, failures=1)
    if definition.kind is Kind.POLL:
        return _with(idle, next_execution_date=now + max(AFTER_LOSS, definition.interval))
    return _paused(idle, evaluation, now)


def _not_before(state: TriggerState | None, moment: datetime) -> TriggerState | None:
    if state is None or state.next_execution_date is None or state.next_execution_date >= moment:
        return state
    return _with(state, next_execution_date=moment)


def _paused(state: TriggerState, evaluation: Evaluation, now: datetime) -> TriggerState:
    """A listener that has ended by itself begins again after a pause, which grows while it never lasts."""
    failures = 0 if now - evaluation.since >= LONGEST_PAUSE else state.failures
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures, 10))
    return _with(state, next_execution_date=now + pause, failures=failures + 1)


def _idle(state: TriggerState, evaluation: Evaluation, now: datetime) -> TriggerState:
    return _with(state, evaluation=None, evaluate_running_date=None, worker_id=None, date=evaluation.since, updated_date=now)


# --- executions and people


def _over(standing: Standing, state: TriggerState, event: ExecutionOver, definition: Definition, now: datetime) -> Verdict:
    if state.execution_id == event.execution_id:
        state = _with(state, execution_id=None, updated_date=now)
    if event.state is not None and event.state in definition.stop_after:
        return _halted(standing, _with(state, disabled=True, updated_date=now), now)
    return Verdict(replace(standing, state=state))


def _asked(standing: Standing, state: TriggerState, verb: Verb, definition: Definition, now: datetime) -> Verdict:
    state = _with(state, updated_date=now)
    match verb:
        case Verb.ENABLE if not state.disabled:
            return Verdict(standing)
        case Verb.ENABLE:
            return Verdict(replace(standing, state=_with(state, disabled=False, next_execution_date=_once_enabled(state, definition, now))))
        case Verb.DISABLE:
            return _halted(standing, _with(state, disabled=True), now)
        case Verb.RESTART if definition.kind is Kind.DATES:
            due = state.next_execution_date or first_due(state, definition, now)
            return Verdict(replace(standing, state=_with(state, execution_id=None, next_execution_date=due)))
        case Verb.RESTART:
            return _halted(standing, _with(state, next_execution_date=first_due(state, definition, now), failures=0), now)
        case Verb.UNLOCK:
            due = state.next_execution_date or first_due(state, definition, now)
            return _halted(standing, _with(state, execution_id=None, next_execution_date=due), now)
        case Verb.PAUSE_BACKFILL | Verb.UNPAUSE_BACKFILL | Verb.DELETE_BACKFILL:
            return Verdict(replace(standing, state=on_backfill(state, verb, now)))


def _once_enabled(state: TriggerState, definition: Definition, now: datetime) -> datetime | None:
    """Dates that passed while it was disabled are not made up for; those of a backfill are what it is for."""
    later = state.next_execution_date
    if (later is not None and later > now) or active_backfill(state) is not None:
        return later
    if definition.kind is Kind.DATES and definition.calendar is not None and definition.runs:
        return definition.calendar.next(max(now, state.date or now), now)
    return first_due(state, definition, now)


def _with(state: TriggerState, **facts: Any) -> TriggerState:
    return state.model_copy(update=facts)
