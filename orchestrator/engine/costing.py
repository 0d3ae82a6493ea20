"""What a task run has cost, as far as its phases and the price book tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.model.execution import TaskRun
from orchestrator.model.price import WORKER_GROUP, Price, price_of
from orchestrator.model.spending import begun_at, price_key


def cost_until(run: TaskRun, ended: datetime, book: Sequence[Price]) -> float | None:
    """The cost of all tries of a run up to the one that ends now, in US dollars; None when the book does not know it.

    A slot of a worker costs nothing unless its group has a price. A rented place costs from the moment the command began.
    """
    now = _present(run, ended, book)
    earlier = run.cost if _tried_before(run) else 0.0
    return None if now is None or earlier is None else earlier + now


def _tried_before(run: TaskRun) -> bool:
    return run.start_failures > 0 or any(attempt.state.current.ended for attempt in run.attempts)


def _present(run: TaskRun, ended: datetime, book: Sequence[Price]) -> float | None:
    since, key = begun_at(run), price_key(run)
    if since is None:
        return 0.0
    if key is None:
        return None
    price = price_of(book, key)
    if price is None:
        return 0.0 if key.get("service") == WORKER_GROUP else None
    return price.of(key, max(0.0, (ended - since).total_seconds()))
