"""Those who wait for news of an execution, and how they are told."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Watchers:
    """A growing number per execution; a watcher waits until it is another than the one he knows."""

    def __init__(self) -> None:
        self._news: dict[str, int] = {}
        self._waiting: defaultdict[str, list[asyncio.Future[None]]] = defaultdict(list)
        self._count = 0

    def news(self, execution_id: str) -> int:
        """The number of the latest news, 0 when there was none yet."""
        return self._news.get(execution_id, 0)

    def tell(self, execution_id: str) -> None:
        """There is news: wake everyone who waits for it."""
        self._count += 1
        self._news[execution_id] = self._count
        for future in self._waiting.pop(execution_id, ()):
            if not future.done():
                future.set_result(None)

    def forget(self, execution_id: str) -> None:
        """Nothing more will come of it."""
        self._news.pop(execution_id, None)

    async def wait(self, execution_id: str, known: int, seconds: float) -> None:
        """Return when there is other news than `known`, or after `seconds`."""
        if self.news(execution_id) != known:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[execution_id].append(future)
        try:
            await asyncio.wait_for(future, seconds)
        except TimeoutError:
            waiting = self._waiting.get(execution_id)
            if waiting and future in waiting:
                waiting.remove(future)
