"""Which executions of a flow hold a place, and who is first in line: by their states alone."""

from __future__ import annotations

from datetime import timedelta

from engine_driving import EPOCH, a_flow, an_execution, log

from orchestrator.engine.concurrency import FlowSlots
from orchestrator.model.execution import Execution
from orchestrator.model.state import Lifecycle, State

FLOW = a_flow(log("a"), concurrency={"limit": 1, "behavior": "CANCEL"})


def _in(state: State, execution_id: str = "e") -> Execution:
    life = Lifecycle.begin(EPOCH)
    return an_execution(FLOW, id=execution_id, state=life if state is State.CREATED else life.to(state, EPOCH + timedelta(seconds=1)))


def test_a_flow_without_a_limit_always_has_room() -> None:
    slots, free = FlowSlots(), a_flow(log("a"))
    for number in range(9):
        slots.note(_in(State.RUNNING, str(number)))
    assert slots.instead(free) is None


def test_a_place_is_held_from_the_start_to_the_end_and_while_paused() -> None:
    slots = FlowSlots()
    slots.note(_in(State.CREATED))
    assert slots.instead(FLOW) is None
    for state in (State.RUNNING, State.PAUSED, State.KILLING):
        slots.note(_in(state))
        assert slots.instead(FLOW) is State.CANCELLED
    slots.note(_in(State.FAILED))
    assert slots.instead(FLOW) is None


def test_noting_a_state_twice_changes_nothing() -> None:
    slots = FlowSlots()
    slots.note(_in(State.RUNNING))
    slots.note(_in(State.RUNNING))
    slots.note(_in(State.SUCCESS))
    assert slots.room_for(FLOW)


def test_the_line_is_looked_at_in_order_until_there_is_no_room() -> None:
    slots = FlowSlots()
    for name in ("a", "b", "c"):
        slots.note(_in(State.QUEUED, name))
    seen = []
    for name in slots.stirred():
        seen.append(name)
        if slots.room_for(FLOW):
            slots.note(_in(State.RUNNING, name))
    assert seen == ["a", "b"]
    assert not slots.are_stirred
    slots.note(_in(State.SUCCESS, "a"))
    assert slots.are_stirred
    assert next(slots.stirred()) == "b"
