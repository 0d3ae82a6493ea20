"""Which waiting run of a worker group goes next: the older execution first, then fair between namespaces, then first come."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Waiting:
    """A run in line: how old its execution is decides first, so that a flood of new ones starves none already running."""

    task_run_id: str
    execution_id: str
    namespace: str
    since: datetime  # start of the execution


class WaitingLine:
    """The line of one group: a heap per namespace, the namespaces taken in turn among executions of the same age.

    Putting and taking cost O(log n); a withdrawn run is skipped when it comes up.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, int, Waiting]] = []
        self._standing: dict[str, int] = {}
        self._count = 0
        self._turns: Counter[tuple[datetime, str]] = Counter()

    def __len__(self) -> int:
        return len(self._standing)

    def put(self, waiting: Waiting) -> None:
        """Join the line; a run already in it stays where it is."""
        if waiting.task_run_id in self._standing:
            return
        self._count += 1
        # The n-th run of a namespace among equally old executions stands behind the (n-1)-th of every other namespace.
        turn = self._turns[(waiting.since, waiting.namespace)]
        self._turns[(waiting.since, waiting.namespace)] += 1
        self._standing[waiting.task_run_id] = self._count
        heapq.heappush(self._heap, (waiting.since, turn, self._count, waiting))

    def remove(self, task_run_id: str) -> None:
        """Leave the line, if in it."""
        self._standing.pop(task_run_id, None)

    def next(self) -> Waiting:
        """Take the first. Raises IndexError when the line is empty."""
        while True:
            _, _, ticket, waiting = heapq.heappop(self._heap)
            if self._standing.get(waiting.task_run_id) == ticket:
                del self._standing[waiting.task_run_id]
                if not self._standing:
                    self._heap.clear()
                    self._turns.clear()
                return waiting
