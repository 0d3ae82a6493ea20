"""What task runs cost: pure figures from phases and prices."""

from __future__ import annotations

from datetime import timedelta

import pytest
from engine_driving import EPOCH, SECOND, Driver, a_flow, fail, log

from orchestrator.engine.costing import cost_until
from orchestrator.model.execution import Attempt, Phase, PhaseName, Placement, TaskRun, Where
from orchestrator.model.job import JobHandle
from orchestrator.model.price import Price, price_of
from orchestrator.model.resources import Resources
from orchestrator.model.state import Lifecycle, State
from orchestrator.model.values import Json

HOUR = timedelta(hours=1)


def price(service: str, **fields: object) -> Price:
    return Price.model_validate({"service": service, "date": "2026-01-01", "source": "here", **fields})


FARGATE = price("aws-fargate", region="eu-west-1", usd_per_vcpu_hour=0.04, usd_per_gib_hour=0.004, least_seconds=60)
SPOT = FARGATE.model_copy(update={"spot": True, "usd_per_vcpu_hour": 0.01, "usd_per_gib_hour": 0.001})
BOOK = (FARGATE, SPOT, price("gcp-batch", machine="e2-medium", usd_per_hour=0.03), price("worker-group", machine="gpu", usd_per_hour=2.0))
TASK = {"service": "aws-fargate", "region": "eu-west-1", "vcpu": "0.25", "memory_mib": 512}


def a_run(where: Where = Where.SUPERVISOR, key: Json = None, **fields: object) -> TaskRun:
    job = JobHandle(key="k", runner="r", backend="b", details={"price": key} if key is not None else {})
    placement = Placement.model_validate({"where": where, **fields.pop("placement", {})})  # type: ignore[dict-item]
    state = Lifecycle.begin(EPOCH)
    base = TaskRun(id="t", execution_id="e", namespace="n", flow_id="f", task_id="t", state=state, placement=placement, job=job, running_since=EPOCH)
    return base.model_copy(update=fields)


def begun_on(group: str, **placement: object) -> TaskRun:
    phases = (Phase(name=PhaseName.QUEUED, at=EPOCH - HOUR), Phase(name=PhaseName.RECEIVED, at=EPOCH))
    where = Where.PROCESS if "resources" in placement else Where.WORKER
    return a_run(where, phases=phases, running_since=None, placement={"group": group, **placement})


def test_a_rented_place_costs_its_vcpus_and_memory_from_the_commands_beginning() -> None:
    assert cost_until(a_run(key=TASK), EPOCH + HOUR, BOOK) == pytest.approx(0.25 * 0.04 + 0.5 * 0.004)


def test_spot_has_a_price_of_its_own() -> None:
    assert cost_until(a_run(key={**TASK, "spot": True}), EPOCH + HOUR, BOOK) == pytest.approx(0.25 * 0.01 + 0.5 * 0.001)


def test_a_short_run_is_billed_as_the_shortest_there_is() -> None:
    short, least = (cost_until(a_run(key=TASK), EPOCH + time, BOOK) for time in (SECOND, 60 * SECOND))
    assert short == least


@pytest.mark.parametrize("key", [{**TASK, "region": "mars"}, {"service": "new"}, {"service": "gcp-batch", "machine": "z9"}, {"service": "aws-fargate"}, None])
def test_what_the_book_does_not_know_is_unknown_and_not_free(key: Json) -> None:
    assert cost_until(a_run(key=key), EPOCH + HOUR, BOOK) is None


def test_a_place_whose_command_never_began_costs_nothing() -> None:
    assert cost_until(a_run(key=TASK, running_since=None), EPOCH + HOUR, BOOK) == 0.0


def test_a_machines_price_is_for_the_whole_of_it() -> None:
    assert cost_until(a_run(key={"service": "gcp-batch", "region": "any", "machine": "e2-medium"}), EPOCH + 2 * HOUR, BOOK) == pytest.approx(0.06)


@pytest.mark.parametrize(("group", "cost"), [("", 0.0), ("cpu", 0.0), ("gpu", 1.0)])
def test_a_slot_of_a_worker_costs_nothing_unless_its_group_has_a_price(group: str, cost: float) -> None:
    assert cost_until(begun_on(group), EPOCH + HOUR / 2, BOOK) == pytest.approx(cost)


def test_a_run_with_resources_is_priced_by_them() -> None:
    book = (price("worker-group", machine="big", usd_per_vcpu_hour=0.1, usd_per_gib_hour=0.01),)
    run = begun_on("big", resources=Resources(cpu=2, memory=4 << 30))
    assert cost_until(run, EPOCH + HOUR, book) == pytest.approx(2 * 0.1 + 4 * 0.01)


def test_tries_add_up_and_one_of_unknown_cost_makes_the_sum_unknown() -> None:
    ended = Attempt(state=Lifecycle.begin(EPOCH).to(State.RUNNING, EPOCH).to(State.FAILED, EPOCH))
    assert cost_until(a_run(key=TASK, attempts=(ended,), cost=1.0), EPOCH + HOUR, BOOK) == pytest.approx(1.012)
    assert cost_until(a_run(key=TASK, attempts=(ended,), cost=None), EPOCH + HOUR, BOOK) is None
    assert cost_until(a_run(key=TASK, start_failures=1, cost=0.5), EPOCH + HOUR, BOOK) == pytest.approx(0.512)


def test_the_operators_own_entry_comes_first() -> None:
    own = FARGATE.model_copy(update={"usd_per_vcpu_hour": 0.001})
    assert price_of((own, *BOOK), TASK) is own


def test_every_run_that_went_somewhere_ends_with_its_cost() -> None:
    driven = Driver(a_flow(log("a"), fail("b", retry={"type": "constant", "interval": "PT1S", "maxAttempts": 2}), errors=[log("e")])).run()
    assert {run.task_id: run.cost for run in driven.view.runs} == {"a": 0.0, "b": 0.0, "e": 0.0}
