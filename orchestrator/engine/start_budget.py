"""When a start that failed is made again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.model.start import BOUND, FailedStart

_DOUBLINGS = 16  # beyond them a wait is at its longest anyway


@dataclass(frozen=True)
class StartBudget:
    """How often a start may fail: `retries` further ones follow the first, after a wait that doubles from `first` to `longest`."""

    retries: int = 3
    first: timedelta = timedelta(seconds=2)
    longest: timedelta = timedelta(minutes=1)


def next_start(budget: StartBudget, failed: FailedStart, *, at: datetime, failures: int, chance: float) -> datetime | None:
    """When a start may be made again that failed at `at`, or None when the budget is spent.

    `failures` counts this one, from 1; `chance` in [0, 1) spreads the wait by a quarter to both sides. A start that was not
    through within its bound is not made again: its user said how long. One with a further rung to climb always is.
    """
    if not failed.climbs and (failed.kind == BOUND or failures > budget.retries):
        return None
    doublings: int = min(failures - 1, _DOUBLINGS)
    wait = min(budget.longest, budget.first * (1 << doublings))
    return at + wait * (0.75 + chance / 2)
