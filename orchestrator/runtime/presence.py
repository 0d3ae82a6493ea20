"""When each place was last heard of, and from when on what it held has surely stopped.

A place whose head has been out of its reach for `LEASE` ends its runs, itself or by the watchdog beside it. So what a
silent place held may be sent elsewhere `SURELY` after it was last heard of, and no sooner.
"""

from __future__ import annotations

from collections.abc import Sequence

LEASE = 10.0  # seconds without a word of the head, after which a place ends its runs
SURELY = 12.0  # seconds after the last word of a place, from when on it has
STALLED = 3.0  # seconds between two looks, above which it was us who did not listen


class Presence:
    """Moments are seconds of a clock that only goes on."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}
        self._silent: dict[str, float] = {}  # those that are told lost, with the moment from which on they are
        self._looked: float | None = None

    def heard(self, place: str, now: float) -> None:
        """A place gave a sign of life."""
        if place not in self._silent:
            self._heard[place] = now

    def last(self, place: str) -> float | None:
        """When a place was last heard of."""
        return self._heard.get(place)

    def silent(self, place: str, now: float) -> float:
        """A place is out of reach; the moment from which on it has surely stopped."""
        return self._silent.setdefault(place, self._heard.get(place, now) + SURELY)

    def forget(self, place: str) -> None:
        self._heard.pop(place, None)
        self._silent.pop(place, None)

    def stopped(self, now: float) -> Sequence[str]:
        """The places that have surely stopped by now: told lost, or simply not heard of any more."""
        if self._looked is not None and now - self._looked > STALLED:
            for place in self._heard:  # beats have waited for us
                self._heard[place] = max(self._heard[place], now)
        self._looked = now
        gone = {place for place, moment in self._silent.items() if now >= moment}
        gone |= {place for place, moment in self._heard.items() if place not in self._silent and now >= moment + SURELY}
        return sorted(gone)
