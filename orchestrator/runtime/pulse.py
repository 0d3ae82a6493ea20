"""A place's own clock: it asks again and again whether the head still knows it, and holds its watchdog off as long as it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

EVERY = 1.0  # seconds between two questions


class Pulse:
    """A thread. `known` asks the head and may block; `renew(seconds_ago)` is called after each good answer with how long ago
    it was asked: the lease counts from there."""

    def __init__(self, known: Callable[[], bool], renew: Callable[[float], None], *, every: float = EVERY) -> None:
        self._known, self._renew, self._every = known, renew, every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._go, name="pulse", daemon=True)

    def start(self) -> Pulse:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stopping.set()

    def _go(self) -> None:
        while not self._stopping.is_set():
            asked = time.monotonic()
            if self._known():
                self._renew(time.monotonic() - asked)
            self._stopping.wait(self._every)
