"""What there is to measure, in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from orchestrator.model.values import Json, parse_instant
from orchestrator.server.parts import parts_of

router = APIRouter()
PREFIX = "orchestrator_"


@router.get("/metrics", response_model=None)
async def metrics(request: Request) -> Response:
    """Gauges as they are now, counts since the executor began."""
    cluster = await parts_of(request).executor.cluster()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(lambda: families(cluster, time.time())))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Collector:
    def __init__(self, made: Callable[[], Iterable[Metric]]) -> None:
        self._made = made

    def collect(self) -> Iterable[Metric]:
        return self._made()

    def describe(self) -> Iterable[Metric]:
        return ()


def families(cluster: Mapping[str, Any], now: float) -> Iterator[Metric]:
    """Every metric of an answer to `cluster`; `now` is seconds since 1970."""
    groups = cluster.get("groups") or []
    workers = GaugeMetricFamily(PREFIX + "workers", "Workers by group and state.", labels=("group", "state"))
    for group in groups:
        for state, count in group["states"].items():
            workers.add_metric((_shown(group["key"]), state), count)
    yield workers
    yield _gauge("slots", "Slots of the workers that are up.", groups, lambda group: group["slots"])
    yield _gauge("slots_used", "Slots in use.", groups, lambda group: group["used"])
    yield _gauge("queued", "Task runs that wait for the group.", groups, lambda group: group["queued"])
    yield _gauge("oldest_wait_seconds", "How long the task run waits that waits longest.", groups, lambda group: _age(group.get("oldestWait"), now))
    growing = [group for group in groups if group.get("scaling")]
    yield _gauge("machines_wanted", "Machines asked of an autoscaler that have not come.", growing, lambda group: group["scaling"]["wanted"])
    executions = GaugeMetricFamily(PREFIX + "executions", "Executions that have not ended.")
    executions.add_metric((), (cluster.get("executor") or {}).get("executions", 0))
    yield executions
    yield from _counted(cluster.get("meters") or {})


def _gauge(name: str, about: str, groups: Sequence[Json], value: Callable[[Json], float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, about, labels=("group",))
    for group in groups:
        family.add_metric((_shown(group["key"]),), value(group))
    return family


def _counted(meters: Mapping[str, Any]) -> Iterator[Metric]:
    latency = HistogramMetricFamily(PREFIX + "dispatch_latency_seconds", "From ready to run to the start of the task's code.", labels=("group",))
    for group, one in (meters.get("latency") or {}).items():
        latency.add_metric((_shown(group),), buckets=_cumulative(meters["bounds"], one["counts"]), sum_value=one["total"])
    yield latency
    again = CounterMetricFamily(PREFIX + "sent_again", "Task runs that were sent again, by cause.", labels=("group", "cause"))
    for one in meters.get("sentAgain") or ():
        again.add_metric((_shown(one["group"]), one["cause"]), one["count"])
    yield again
    passed = CounterMetricFamily(PREFIX + "passed_over", "Places of a placement that did not take a task run, by reason.", labels=("place", "reason"))
    for one in meters.get("passedOver") or ():
        passed.add_metric((one["place"], one["reason"]), one["count"])
    yield passed


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    so_far, buckets = 0, []
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    return buckets


def _shown(group: str) -> str:
    return group or "default"


def _age(since: str | None, now: float) -> float:
    return max(0.0, now - parse_instant(since).timestamp()) if since else 0.0
