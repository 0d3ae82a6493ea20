"""A bounded crew of threads, started when needed and kept warm."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class Crew:
    """Runs what it is given on at most `most` threads; the one that rested last goes first, its caches are warm."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._idle: list[_Member] = []
        self._threads = 0
        self._closed = False

    def do(self, work: Callable[[], None]) -> None:
        """Run `work` now, or when a thread is free. What it raises is its own affair: it must raise nothing."""
        with self._lock:
            if self._idle:
                self._idle.pop().give(work)
            elif self._threads < self._most:
                self._threads += 1
                _Member(self, work).start(f"{self._name}-{self._threads}")
            else:
                self._waiting.append(work)

    def replace_one(self) -> None:
        """A thread is stuck and given up: another may be started in its place."""
        with self._lock:
            self._most += 1
            if self._waiting:
                self._threads += 1
                _Member(self, self._waiting.popleft()).start(f"{self._name}-{self._threads}")

    def returned(self) -> None:
        """The thread that had been given up is free after all; it leaves the crew as one too many."""
        with self._lock:
            self._most -= 1

    def next_for(self, member: _Member) -> bool:
        """Whether the member goes on; it has got work or rests."""
        with self._lock:
            if self._closed or self._threads > self._most:
                self._threads -= 1
                return False
            if self._waiting:
                member.give(self._waiting.popleft())
            else:
                self._idle.append(member)
            return True

    def close(self) -> None:
        """Let idle threads end, the others after their work."""
        with self._lock:
            self._closed = True
            for member in self._idle:
                member.give(lambda: None)
            self._idle.clear()


class _Member:
    def __init__(self, crew: Crew, work: Callable[[], None]) -> None:
        self._crew, self._work, self._given = crew, work, threading.Semaphore(1)

    def give(self, work: Callable[[], None]) -> None:
        self._work = work
        self._given.release()

    def start(self, name: str) -> None:
        threading.Thread(target=self._go, name=name, daemon=True).start()

    def _go(self) -> None:
        while True:
            self._given.acquire()
            work, self._work = self._work, _nothing
            work()
            del work
            if not self._crew.next_for(self):
                return


def _nothing() -> None:
    return None
