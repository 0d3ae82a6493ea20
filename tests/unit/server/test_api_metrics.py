"""What there is to measure, as Prometheus reads it."""

from __future__ import annotations

from typing import Any

import pytest
from api_site import Site
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.anyio
CLUSTER: dict[str, Any] = {
    "workers": [],
    "groups": [
        {"key": "", "states": {"up": 1}, "slots": 16, "used": 3, "queued": 0, "oldestWait": None},
        {"key": "gpu", "states": {"up": 1, "draining": 2}, "slots": 4, "used": 4, "queued": 7, "oldestWait": "2026-01-01T00:00:00Z", "scaling": {"wanted": 2}},
    ],
    "queued": {"gpu": 7},
    "executor": {"ready": True, "executions": 5},
    "meters": {
        "bounds": [0.001, 0.01],
        "latency": {"gpu": {"counts": [1, 2, 3], "total": 1.5}},
        "sentAgain": [{"group": "gpu", "cause": "WORKER_LOST", "count": 2}],
        "passedOver": [{"place": "worker group 'gpu'", "reason": "NO_LIVE_WORKER", "count": 4}],
    },
}


async def read(site: Site) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    site.executor.on_cluster = lambda body: CLUSTER  # type: ignore[method-assign]
    async with site.client() as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = (sample for family in text_string_to_metric_families(answer.text) for sample in family.samples)
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


async def test_every_group_is_measured(open_site: Site) -> None:
    found = await read(open_site)
    gpu = (("group", "gpu"),)
    assert found[("orchestrator_workers", (("group", "gpu"), ("state", "draining")))] == 2
    assert (found[("orchestrator_slots", gpu)], found[("orchestrator_slots_used", gpu)], found[("orchestrator_queued", gpu)]) == (4, 4, 7)
    assert found[("orchestrator_oldest_wait_seconds", gpu)] > 1_000_000
    assert found[("orchestrator_oldest_wait_seconds", (("group", "default"),))] == 0
    assert found[("orchestrator_executions", ())] == 5
    assert found[("orchestrator_machines_wanted", gpu)] == 2
    assert ("orchestrator_machines_wanted", (("group", "default"),)) not in found, "it does not grow by itself"


async def test_latency_is_a_histogram_that_adds_up(open_site: Site) -> None:
    found = await read(open_site)
    buckets = [found[("orchestrator_dispatch_latency_seconds_bucket", (("group", "gpu"), ("le", bound)))] for bound in ("0.001", "0.01", "+Inf")]
    assert buckets == [1, 3, 6]
    assert (
        found[("orchestrator_dispatch_latency_seconds_count", (("group", "gpu"),))],
        found[("orchestrator_dispatch_latency_seconds_sum", (("group", "gpu"),))],
    ) == (6, 1.5)


async def test_what_was_sent_again_and_passed_over_is_counted(open_site: Site) -> None:
    found = await read(open_site)
    assert found[("orchestrator_sent_again_total", (("cause", "WORKER_LOST"), ("group", "gpu")))] == 2
    assert found[("orchestrator_passed_over_total", (("place", "worker group 'gpu'"), ("reason", "NO_LIVE_WORKER")))] == 4


async def test_who_has_no_token_measures_nothing(site: Any) -> None:
    async with site(api_token="secret").client() as client:
        assert (await client.get("/metrics")).status_code == 401
