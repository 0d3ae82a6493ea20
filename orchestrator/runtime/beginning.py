"""The time in which a place gets a job's command to begin: bounded apart from the task's own timeout."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from orchestrator.errors import StartFailed
from orchestrator.model.execution import PhaseName
from orchestrator.model.start import BOUND
from orchestrator.model.values import format_duration


class Beginning:
    """Knows from the phases that a runner tells whether the command has begun. Safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._bound = timedelta()
        self._stage = ""
        self._is_begun = False
        self.late = False  # the bound has passed before the command began: nothing may begin any more

    def within(self, bound: timedelta | None, otherwise: Callable[[], None]) -> None:
        """From now on: past the bound `otherwise` is called once, on a thread of its own, unless the command has begun."""
        if bound is None:
            return
        self._bound = bound
        self._timer = threading.Timer(bound.total_seconds(), self._pass, (otherwise,))
        self._timer.daemon = True
        self._timer.start()

    def _pass(self, otherwise: Callable[[], None]) -> None:
        with self._lock:
            if self._is_begun:
                return
            self.late = True
        otherwise()

    def reached(self, name: PhaseName, detail: str | None) -> bool:
        """Note a stage; whether it is to be told: the command begins once."""
        with self._lock:
            self._stage = detail or name.value
            if name is not PhaseName.RUNNING:
                return True
            known, self._is_begun = self._is_begun, True
        self.close()
        return not known

    def close(self) -> None:
        """The bound holds no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def check(self) -> None:
        """Raise StartFailed where the command has not begun in time."""
        if self.late:
            last = f"; the last that was heard: {self._stage}" if self._stage else ""
            raise StartFailed(f"the command did not begin within {format_duration(self._bound)} (waitUntilRunning){last}", BOUND)
