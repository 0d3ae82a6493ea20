"""What is counted of dispatching: how long runs waited for their code to begin, what was sent again, which steps were passed over."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model.values import Json

BOUNDS: Sequence[float] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0)  # seconds


@dataclass
class Histogram:
    """Counts of observations at most each bound of `BOUNDS`, and all of them; `total` is their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(BOUNDS, value)] += 1
        self.total += value


class Meters:
    """Counts since this executor began. `told(name, value, tags)` is called with each observation, for those who export them."""

    def __init__(self) -> None:
        self.latency: dict[str, Histogram] = {}  # by group
        self.sent_again: Counter[tuple[str, str]] = Counter()  # by group and cause
        self.passed_over: Counter[tuple[str, str]] = Counter()  # by place and reason
        self.told: Callable[[str, float, Mapping[str, str]], None] = lambda name, value, tags: None

    def began(self, group: str, seconds: float) -> None:
        """A run's code has begun, so long after the run was ready."""
        self.latency.setdefault(group, Histogram()).observe(max(0.0, seconds))
        self.told("dispatch_latency", max(0.0, seconds), {"group": group or "default"})

    def again(self, group: str, cause: str) -> None:
        """A run was sent again."""
        self.sent_again[(group, cause)] += 1
        self.told("sent_again", 1, {"group": group or "default", "cause": cause})

    def passed(self, place: str, reason: str) -> None:
        """A place of a chain did not take a run."""
        self.passed_over[(place, reason)] += 1
        self.told("passed_over", 1, {"place": place, "reason": reason})

    def as_json(self) -> Json:
        return {
            "bounds": list(BOUNDS),
            "latency": {group: {"counts": one.counts, "total": one.total} for group, one in self.latency.items()},
            "sentAgain": [{"group": group, "cause": cause, "count": count} for (group, cause), count in self.sent_again.items()],
            "passedOver": [{"place": place, "reason": reason, "count": count} for (place, reason), count in self.passed_over.items()],
        }
