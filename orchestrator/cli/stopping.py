"""Signals while a run is followed, heard between two pieces of news in place of breaking into them."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import AbstractContextManager
from enum import Enum
from types import FrameType
from typing import Any

GRACE = 2.5  # seconds after SIGTERM to see the run end; Ray forces a stopped job after 3


class Wish(Enum):
    """What the person, or whoever stops this process, wants of the run."""

    GO_ON = "go on"
    KILL = "kill"
    DETACH = "detach"
    LEAVE = "leave"  # the kill was asked for; no longer wait to see it


class Stopping(AbstractContextManager["Stopping"]):
    """Counts SIGINT and SIGTERM in its `with` block; `wish` says what they come to.

    Ctrl-C at a terminal asks whether to detach or to kill, twice kills, and once more leaves. Where nobody can be
    asked it kills. SIGTERM kills, or with `detach` leaves the run alone.
    """

    def __init__(self, *, detach: bool) -> None:
        self._detach = detach
        self._interrupts = self._asked = 0
        self._terminated: float | None = None
        self._killing = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def terminated(self) -> bool:
        """Whether SIGTERM came."""
        return self._terminated is not None

    @property
    def pending(self) -> bool:
        """Whether there is something to say to the person, so that a live view should make room."""
        return self._interrupts > self._asked and not self._killing

    def __enter__(self) -> Stopping:
        if threading.current_thread() is threading.main_thread():
            self._before = {kind: signal.signal(kind, self._heard) for kind in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for kind, handler in self._before.items():
            signal.signal(kind, handler)

    def _heard(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGTERM:
            self._terminated = self._terminated or time.monotonic()
        else:
            self._interrupts += 1

    def wish(self) -> Wish:
        """What is wanted now; KILL is given once. May ask the person, and waits for the answer."""
        if self._terminated is not None:
            return self._after_term(self._terminated)
        if self._interrupts == self._asked:
            return Wish.GO_ON
        twice = self._interrupts - self._asked > 1
        self._asked = self._interrupts
        if self._killing:
            return Wish.LEAVE
        found = Wish.KILL if twice or (self._detach is False and not _someone_there()) else self._answer()
        self._killing = found is Wish.KILL
        return found

    def _after_term(self, at: float) -> Wish:
        if self._detach:
            return Wish.DETACH
        if not self._killing:
            self._killing = True
            return Wish.KILL
        return Wish.LEAVE if time.monotonic() - at > GRACE else Wish.GO_ON

    def _answer(self) -> Wish:
        if not _someone_there():
            return Wish.DETACH
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            sys.stderr.write("\nleave the run going and detach, or kill it? [d]etach / [k]ill / Enter to go on (Ctrl-C again kills): ")
            sys.stderr.flush()
            said = sys.stdin.readline().strip().lower()
        except KeyboardInterrupt:
            return Wish.KILL
        finally:
            signal.signal(signal.SIGINT, self._heard)
        return Wish.DETACH if said.startswith("d") else Wish.KILL if said.startswith("k") else Wish.GO_ON


def _someone_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
