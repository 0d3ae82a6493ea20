"""Why a trigger starts nothing now, in words: what is known of it, the evidence, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.engine.trigger_reasons import TriggerReason, TriggerReasonKind
from orchestrator.model.reason import Explanation, Reason
from orchestrator.model.values import Json

_TOLD: Mapping[str, tuple[str, str]] = {
    "TRIGGER_DISABLED": ("It is disabled", "orchestrator trigger enable {name}; where the flow says `disabled: true`, take that out"),
    "NOT_EVALUATED": ("Nothing here evaluates it as it is written: {why}", "change the trigger as the reason says"),
    "EVALUATING": ("It is being evaluated", "nothing, unless it lasts: orchestrator trigger show {name} has the end of its log"),
    "STOPPING": ("Its evaluation was told to end and has not been seen gone yet", "nothing: the next begins once it is gone"),
    "WAITING_FOR_EXECUTION": (
        "It waits for the end of execution {executionId}, which it started",
        "orchestrator explain {executionId}; or have it wait no more: orchestrator trigger unlock {name}",
    ),
    "NO_LIVE_WORKER": ("It is due, and no live worker may evaluate it", "orchestrator worker ls; start one: orchestrator server worker"),
    "AT_CAPACITY": (
        "It is due, and its workers evaluate as many triggers as they may",
        "wait, or join another worker: orchestrator server worker",
    ),
    "NOT_DUE": ("Its next date is {next}", "nothing: wait for its date, or run the flow by hand"),
    "LISTENING": ("It waits for executions of other flows to end", "nothing: the evidence tells what has come of what must come together"),
    "AWAITING_CALL": ("It waits for a call of its address", "call it: POST /api/v1/executions/webhook/{namespace}/{flow}/KEY"),
    "DUE": ("It is due and goes at once", "nothing"),
}
_DISABLED = ("Its flow {namespace}.{flow} is disabled", "save the flow without `disabled: true`")


def explain_trigger(namespace: str, flow_id: str, trigger_id: str, reason: TriggerReason, *, flow_disabled: bool) -> Explanation:
    """What holds of a trigger now, and what to do about it."""
    by_flow = flow_disabled and reason.kind is TriggerReasonKind.TRIGGER_DISABLED
    message, fix = _DISABLED if by_flow else _TOLD[reason.kind.value]
    words = {"why": "it has no date", "executionId": "", "next": "not known", **_texts(reason.evidence)}
    words |= {"name": f"{namespace}/{flow_id}/{trigger_id}", "namespace": namespace, "flow": flow_id}
    return Explanation(
        trigger_id=trigger_id,
        reason=Reason.FLOW_DISABLED if by_flow else Reason(reason.kind.value),
        message=message.format_map(words),
        fix=fix.format_map(words),
        since=reason.since,
        evidence=dict(reason.evidence),
    )


def _texts(evidence: Mapping[str, Json]) -> dict[str, str]:
    return {name: str(value) for name, value in evidence.items()}
