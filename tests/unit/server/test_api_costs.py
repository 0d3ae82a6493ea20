"""The costs of task runs, added up for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.model.execution import Placement, TaskRun, Where
from orchestrator.model.job import JobHandle
from orchestrator.model.state import Lifecycle, State
from orchestrator.server.costs import costs_of
from orchestrator.settings import Settings

AT = datetime(2026, 1, 1, tzinfo=UTC)
BATCH = "io.kestra.plugin.ee.aws.runner.Batch"
KEY = {"service": "aws-fargate", "region": "eu-west-1", "vcpu": 0.25, "memory_mib": 512}
BOOK = Settings().price_book


def run(task: str, cost: float | None, *, where: Where = Where.SUPERVISOR, over: bool = True, key: Any = None) -> TaskRun:
    state = Lifecycle.begin(AT).to(State.RUNNING, AT)
    job = JobHandle(key="k", runner=BATCH, backend="b", details={"price": key or KEY}) if where is Where.SUPERVISOR else None
    placement = Placement(where=where, runner=BATCH if job is not None else None, group="" if job is not None else "gpu")
    about: dict[str, Any] = {"id": f"r-{task}", "execution_id": "e", "namespace": "n", "flow_id": "f", "task_id": task}
    return TaskRun(state=state.to(State.SUCCESS, AT) if over else state, placement=placement, job=job, cost=cost, **about)


def test_costs_are_added_up_by_task_and_by_runner() -> None:
    told = costs_of([run("a", 0.5), run("a", 0.25), run("b", 1.0, where=Where.WORKER)], BOOK)
    assert (told["currency"], told["total"], told["complete"]) == ("USD", 1.75, True)
    assert [(one["taskId"], one["total"], one["taskRuns"]) for one in told["byTask"]] == [("a", 0.75, 2), ("b", 1.0, 1)]
    assert [(one["runner"], one["total"]) for one in told["byRunner"]] == [(BATCH, 0.75), ("worker group gpu", 1.0)]


def test_each_run_tells_the_price_it_was_counted_by_with_its_date_and_source() -> None:
    (one,) = costs_of([run("a", 0.5)], BOOK)["runs"]
    assert (one["price"]["usd_per_vcpu_hour"], one["place"]) == (0.04048, KEY)
    assert one["price"]["date"]
    assert one["price"]["source"].startswith("https://")


def test_what_is_not_known_is_counted_and_makes_the_total_the_least_it_can_be() -> None:
    told = costs_of([run("a", 0.5), run("b", None, key={"service": "new"}), run("c", None, over=False)], BOOK)
    assert (told["total"], told["complete"], told["unknown"], told["running"]) == (0.5, False, 1, 1)
    assert [one["cost"] for one in told["runs"]] == [0.5, None, None]


def test_leaders_and_what_went_nowhere_cost_nothing() -> None:
    assert costs_of([run("a", None).model_copy(update={"placement": None})], BOOK)["runs"] == []


@pytest.mark.parametrize(
    ("service", "region", "machine"),
    [("aws-fargate", region, None) for region in ("us-east-1", "eu-west-1")]
    + [("aws-batch-ec2", region, "m5.large") for region in ("us-east-1", "eu-west-1")]
    + [("gcp-batch", region, machine) for region in ("us-central1", "europe-west1") for machine in ("e2-medium", "n2-standard-4")],
)
def test_the_book_that_comes_along_knows_the_common_places(service: str, region: str, machine: str | None) -> None:
    entries = [price for price in BOOK if (price.service, price.region, price.machine, price.spot) == (service, region, machine, False)]
    assert len(entries) == 1
    assert entries[0].usd_per_hour or entries[0].usd_per_vcpu_hour


def test_no_place_has_two_prices() -> None:
    places = [(price.service, price.region, price.machine, price.spot) for price in BOOK]
    assert len(places) == len(set(places))
