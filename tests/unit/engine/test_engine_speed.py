"""A step costs what it changes, however many task runs there are."""

from __future__ import annotations

import gc
import json
from time import process_time

import pytest
from engine_driving import Driver, a_flow, log, of

from orchestrator.engine.events import RunEnded, RunReceived
from orchestrator.engine.variables import variables
from orchestrator.model.state import State

pytestmark = pytest.mark.alone


def _drive(items: int, limit: int) -> tuple[float, int]:
    """CPU seconds of a ForEach from its start to its end, and the events it took."""
    flow = a_flow(of("ForEach", "each", log("t"), values=json.dumps(list(range(items))), limit=limit), log("end"))
    driven = Driver(flow)
    gc.collect()
    gc.disable()  # how often the collector looks at the rows that live on is the process's to tune
    began = process_time()
    driven.start()
    while driven.waiting:
        run = driven.waiting.popleft().run
        driven.send(RunReceived(run.id, run.lease, "w", driven.now))
        variables(driven.view, driven.view.run(run.id), frozenset({("taskrun", "value"), ("outputs", "t", "value")}))
        driven.send(RunEnded(driven.outcome(run, "SUCCESS", outputs={"value": 1})))
    took = process_time() - began
    gc.enable()
    assert (driven.state, len(driven.view.runs)) == (State.SUCCESS, items + 2)
    return took, driven.events


@pytest.mark.parametrize("limit", [1, 0])
def test_a_loop_takes_time_in_proportion_to_its_items(limit: int) -> None:
    few = min(_drive(1_000, limit)[0] for _ in range(3))
    many, events = min(_drive(10_000, limit) for _ in range(2))
    assert many / few <= 13
    assert many / events < 400e-6, "a step, with the test's own part"


def test_the_json_is_made_anew_only_for_what_changed() -> None:
    driven = Driver(a_flow(of("ForEach", "each", log("t"), values=json.dumps(list(range(5_000))), limit=0))).start()
    began = process_time()
    driven.view.as_json()
    first = process_time() - began
    driven.work_one()
    began = process_time()
    driven.view.as_json()
    assert process_time() - began < first / 3
