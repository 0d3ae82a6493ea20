"""Moments that the engine asked to be told of."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime


class Timers:
    """One alarm for the earliest moment; `ring` is called with what was asked for, once each, never early."""

    def __init__(self, ring: Callable[[str, object], None], clock: Callable[[], datetime]) -> None:
        self._ring = ring
        self._clock = clock
        self._heap: list[tuple[datetime, int, str, object]] = []
        self._count = 0
        self._alarm: asyncio.TimerHandle | None = None

    def set(self, at: datetime, execution_id: str, what: object) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, execution_id, what))
        if self._heap[0][1] == self._count:
            self._arm()

    def look(self) -> None:
        """The clock may have been set, or the machine have slept: ring what is due by now."""
        if self._heap and self._heap[0][0] <= self._clock():
            if self._alarm is not None:
                self._alarm.cancel()
            self._due()

    def _arm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = max(0.0, (self._heap[0][0] - self._clock()).total_seconds())
        self._alarm = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._alarm = None
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            _, _, execution_id, what = heapq.heappop(self._heap)
            self._ring(execution_id, what)
        if self._heap:
            self._arm()
