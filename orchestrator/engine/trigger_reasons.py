"""Why a trigger is not being evaluated, or that it is: a typed reason with its evidence, for whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from orchestrator.engine.trigger_events import Definition, Kind, Standing
from orchestrator.engine.trigger_placing import Held
from orchestrator.model.trigger import Evaluation, TriggerState
from orchestrator.model.values import Json, format_instant


class TriggerReasonKind(StrEnum):
    TRIGGER_DISABLED = "TRIGGER_DISABLED"  # by the flow, by the trigger itself, or by a person or `stopAfter`
    NOT_EVALUATED = "NOT_EVALUATED"  # nothing here evaluates it as it is written
    EVALUATING = "EVALUATING"
    STOPPING = "STOPPING"  # told to end, and not yet known to have
    WAITING_FOR_EXECUTION = "WAITING_FOR_EXECUTION"  # that it started, and that has not ended
    NO_LIVE_WORKER = "NO_LIVE_WORKER"
    AT_CAPACITY = "AT_CAPACITY"  # its workers evaluate as many triggers as they may
    NOT_DUE = "NOT_DUE"
    DUE = "DUE"  # it goes with the next turn
    LISTENING = "LISTENING"  # for executions of other flows; of what must come together, what has come
    AWAITING_CALL = "AWAITING_CALL"  # of its address


@dataclass(frozen=True)
class TriggerReason:
    """`since` is when it came to hold, where that is known; `evidence` is JSON."""

    kind: TriggerReasonKind
    since: datetime | None = None
    evidence: Mapping[str, Json] = field(default_factory=dict)


def reason_of(standing: Standing, definition: Definition, now: datetime, held: Held | None = None) -> TriggerReason:
    """What holds of a trigger now. `held` is what placing it came to, where it is due and was not sent."""
    state = standing.state
    if state is None or standing.leaving is not None:
        leaving = standing.leaving
        evidence = {"worker": leaving.worker, "lease": leaving.lease} if leaving is not None else {}
        return TriggerReason(TriggerReasonKind.STOPPING, evidence=evidence)
    if state.evaluation is not None:
        return _evaluating(state.evaluation, definition)
    return _held_back(state, definition) or _for_others(state, definition) or _waiting(state, now, held)


def _evaluating(evaluation: Evaluation, definition: Definition) -> TriggerReason:
    evidence: dict[str, Json] = {"worker": evaluation.worker, "lease": evaluation.lease, "how": definition.kind.value}
    if evaluation.stopping is not None:
        return TriggerReason(TriggerReasonKind.STOPPING, evaluation.since, {**evidence, "cause": evaluation.stopping.value})
    return TriggerReason(TriggerReasonKind.EVALUATING, evaluation.since, evidence | ({"emitted": evaluation.emitted} if evaluation.emitted else {}))


def _held_back(state: TriggerState, definition: Definition) -> TriggerReason | None:
    if not definition.enabled:
        return TriggerReason(TriggerReasonKind.TRIGGER_DISABLED, state.updated_date, {"by": "flow"})
    if state.disabled:
        return TriggerReason(TriggerReasonKind.TRIGGER_DISABLED, state.updated_date, {"by": "state"})
    if definition.obstacle is not None:
        return TriggerReason(TriggerReasonKind.NOT_EVALUATED, state.updated_date, {"why": definition.obstacle})
    if state.execution_id is not None and not definition.concurrent:
        return TriggerReason(TriggerReasonKind.WAITING_FOR_EXECUTION, state.date, {"executionId": state.execution_id})
    return None


def _for_others(state: TriggerState, definition: Definition) -> TriggerReason | None:
    """Of a trigger that waits for no moment."""
    if definition.kind is Kind.CALLED:
        return TriggerReason(TriggerReasonKind.AWAITING_CALL, state.updated_date)
    if definition.kind is Kind.HEARS:
        come = {name: {"come": list(window.met), "until": format_instant(window.end)} for name, window in state.windows.items()}
        return TriggerReason(TriggerReasonKind.LISTENING, state.updated_date, come)
    return None


def _waiting(state: TriggerState, now: datetime, held: Held | None) -> TriggerReason:
    due = state.next_execution_date
    if due is None or due > now:
        evidence: dict[str, Json] = {"next": format_instant(due)} if due is not None else {}
        if state.backfill is not None and state.backfill.paused:
            evidence["pausedBackfill"] = format_instant(state.backfill.current_date)
        return TriggerReason(TriggerReasonKind.NOT_DUE, state.date, evidence)
    if held is None:
        return TriggerReason(TriggerReasonKind.DUE, due)
    if held.full and not held.lacking:
        return TriggerReason(TriggerReasonKind.AT_CAPACITY, due, {"places": list(held.full)})
    return TriggerReason(TriggerReasonKind.NO_LIVE_WORKER, due, {"places": list(held.lacking)})
