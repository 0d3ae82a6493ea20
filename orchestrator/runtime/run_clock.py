"""A worker's own clock for a run's timeout: the server keeps one too, and this one holds also while the executor is away."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.model.execution import PhaseName

_STANDS = frozenset({PhaseName.PROVISIONING, PhaseName.IMAGE})


class RunClock:
    """Calls `over` once, when `seconds` have passed (None: never). It stands while a place gets ready, and begins anew with the command."""

    def __init__(self, seconds: float | None, over: Callable[[], None]) -> None:
        self._seconds, self._over = seconds, over
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False

    def start(self) -> None:
        """Count from now."""
        self._set(self._seconds)

    def reached(self, name: PhaseName) -> None:
        """Take note of a stage."""
        if name in _STANDS:
            self._set(None)
        elif name is PhaseName.RUNNING:
            self._set(self._seconds)

    def close(self) -> None:
        """Never mind."""
        with self._lock:
            self._closed = True
        self._set(None)

    def _set(self, seconds: float | None) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            if seconds is not None and not self._closed:
                self._timer = threading.Timer(seconds, self._over)
                self._timer.daemon = True
                self._timer.start()
