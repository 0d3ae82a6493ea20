"""Sees workers come and go, and tells when what a lost one held may be sent elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.errors import Unavailable
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.places import Places
from orchestrator.runtime.presence import Presence
from orchestrator.runtime.turn import Turn

LOOK_EVERY = 0.5  # seconds between looks at the cluster


class Lookout:
    """Keeps `places` as the cluster is. `post` has something done in a turn of the executor."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        places: Places,
        post: Callable[[Callable[[Turn], Any]], None],
        lose: Callable[[Turn, str], None],
        before: Callable[[], Awaitable[None]],
        looked: Callable[[], None],
        waits: Callable[[], bool],
    ) -> None:
        """`lose` is called with a place of which nothing is left; `before` ahead of every further look, while places are still
        as the last turn left them; `looked` after every look, before anything is placed by it; `waits` tells whether anything
        may have found room by it."""
        self._cluster, self._places, self._post, self._lose_place = cluster, places, post, lose
        self._before, self._looked, self._waits = before, looked, waits
        self.presence = Presence()

    def begin(self) -> None:
        """Be told from now on."""
        self._cluster.on_lost(self.lost)
        self._cluster.on_beat(self.heard)

    def heard(self, place: str) -> None:
        """A place has given a sign of life."""
        self.presence.heard(place, time.monotonic())

    def lost(self, place: str, is_certain: bool) -> None:
        """What a place held is sent elsewhere: at once when it has surely stopped or had left, else as soon as it has."""
        if is_certain or self._places.has_nothing_to_lose(place):
            self._post(lambda turn: self._lose(turn, place))
        else:
            self.presence.silent(place, time.monotonic())
            self._places.silence(place)

    def _lose(self, turn: Turn, place: str) -> None:
        self.presence.forget(place)
        self._lose_place(turn, place)

    async def look(self) -> None:
        """Look at the cluster once. Raises Unavailable."""
        self._places.see((await self._cluster.look()).workers)
        self._looked()
        for place in self.presence.stopped(time.monotonic()):
            self._cluster.end(place)
            self.lost(place, is_certain=True)

    async def look_on(self) -> None:
        """Look again and again, and have a turn place what has found room."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._before()
                await self.look()
            except Unavailable:
                continue
            if self._waits():
                self._post(lambda turn: None)
