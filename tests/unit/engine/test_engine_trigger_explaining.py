"""Why a trigger starts nothing, in words."""

from __future__ import annotations

import pytest

from orchestrator.engine.trigger_explaining import explain_trigger
from orchestrator.engine.trigger_reasons import TriggerReason, TriggerReasonKind
from orchestrator.model.reason import Reason


@pytest.mark.parametrize("kind", TriggerReasonKind)
def test_every_reason_has_words_and_says_what_to_do(kind: TriggerReasonKind) -> None:
    told = explain_trigger("company.team", "hello", "daily", TriggerReason(kind), flow_disabled=False)
    assert (told.reason, told.trigger_id) == (Reason(kind.value), "daily")
    assert told.message
    assert told.fix
    assert "{" not in told.message + told.fix


def test_a_trigger_of_a_disabled_flow_says_that_it_is_the_flow() -> None:
    told = explain_trigger("company.team", "hello", "daily", TriggerReason(TriggerReasonKind.TRIGGER_DISABLED), flow_disabled=True)
    assert (told.reason, told.message) == (Reason.FLOW_DISABLED, "Its flow company.team.hello is disabled")


def test_the_evidence_is_in_the_words() -> None:
    waits = TriggerReason(TriggerReasonKind.WAITING_FOR_EXECUTION, evidence={"executionId": "4hUz"})
    told = explain_trigger("company.team", "hello", "daily", waits, flow_disabled=False)
    assert "4hUz" in told.message
    assert told.fix == "orchestrator explain 4hUz; or have it wait no more: orchestrator trigger unlock company.team/hello/daily"
