"""The costs of task runs, added up. A cost that is not known is left out of a sum, and counted as unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from orchestrator.model.execution import TaskRun, Where
from orchestrator.model.price import CURRENCY, Price, price_of
from orchestrator.model.spending import price_key


def costs_of(runs: Iterable[TaskRun], book: Sequence[Price]) -> dict[str, Any]:
    """{"currency", "total", "complete", "unknown", "running", "byTask", "byRunner", "runs"} of those that went somewhere.

    `complete`: every one has ended and its cost is known; else `total` is the least that it has cost.
    """
    shown = [_shown(run, book) for run in runs if run.placement is not None]
    total = _sum(shown)
    return {
        "currency": CURRENCY,
        **total,
        "complete": not (total["unknown"] or total["running"]),
        "byTask": [{"taskId": name, **_sum(some)} for name, some in _by(shown, lambda one: one["taskId"])],
        "byRunner": [{"runner": name, **_sum(some)} for name, some in _by(shown, lambda one: one["runner"])],
        "runs": shown,
    }


def _shown(run: TaskRun, book: Sequence[Price]) -> dict[str, Any]:
    key = price_key(run)
    price = price_of(book, key) if key is not None else None
    told: dict[str, Any] = {"taskRunId": run.id, "taskId": run.task_id, "state": run.state.current.value, "runner": _place(run), "cost": run.cost}
    if run.value is not None:
        told["value"] = run.value
    if key is not None:
        told["place"] = dict(key)
    if price is not None:
        told["price"] = price.model_dump(mode="json", exclude_defaults=True)
    return told


def _place(run: TaskRun) -> str:
    """The runner that rented a place, or the group whose machine it ran on."""
    placement = run.placement
    if placement is not None and placement.where is Where.SUPERVISOR and placement.runner is not None:
        return placement.runner
    return f"worker group {(placement.group if placement is not None else '') or 'default'}"


def _sum(some: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ended = [one for one in some if one["cost"] is not None or not _goes_on(one)]
    return {
        "total": sum(one["cost"] for one in some if one["cost"] is not None),
        "taskRuns": len(some),
        "unknown": sum(one["cost"] is None for one in ended),
        "running": sum(_goes_on(one) for one in some),
    }


def _goes_on(one: dict[str, Any]) -> bool:
    return one["state"] not in ("SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "SKIPPED", "RETRIED")


def _by(shown: Sequence[dict[str, Any]], name: Callable[[dict[str, Any]], str]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(key, list(some)) for key, some in groupby(sorted(shown, key=name), key=name)]
