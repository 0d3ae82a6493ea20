"""Counts what tokens are used for, and passes the counts on now and then: a request must not cost a write."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from orchestrator.errors import OrchestratorError

PASS_ON_AFTER = 30.0  # seconds; what is counted since is lost with this process


class Tally:
    """Counts on the event loop; `take` gets them by uid."""

    def __init__(self, take: Callable[[Mapping[str, int]], Awaitable[None]], *, after: float = PASS_ON_AFTER) -> None:
        self._take, self._after = take, after
        self._counts: Counter[str] = Counter()
        self._passing: asyncio.Task[None] | None = None

    def count(self, uid: str) -> None:
        self._counts[uid] += 1
        if self._passing is None or self._passing.done():
            self._passing = asyncio.get_running_loop().create_task(self._pass_on())

    async def _pass_on(self) -> None:
        await asyncio.sleep(self._after)
        counts, self._counts = self._counts, Counter()
        with suppress(OrchestratorError):  # an executor that is away: a count is not worth more
            await self._take(counts)
