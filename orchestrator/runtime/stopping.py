"""How a run learns that it must stop, and by what."""

from __future__ import annotations

import threading
from collections.abc import Callable

from orchestrator.errors import TaskFailed
from orchestrator.model.execution import Cause


class Stopped(TaskFailed):
    """Raised inside a run that was told to stop, where it looks."""

    code = "stopped"


class StopSignal:
    """Set at most once, with its cause; calls every registered action at most once, on the thread that sets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actions: list[Callable[[], None]] = []
        self.event = threading.Event()
        self.cause: Cause | None = None

    def __bool__(self) -> bool:
        return self.event.is_set()

    def check(self) -> None:
        """Raise Stopped once the signal is set."""
        if self.event.is_set():
            raise Stopped("the run was stopped")

    def add(self, action: Callable[[], None]) -> None:
        """Call `action` when the signal is set; now, on a thread of its own, when it already is."""
        with self._lock:
            if not self.event.is_set():
                self._actions.append(action)
                return
        threading.Thread(target=_quietly, args=(action,), name="stop", daemon=True).start()

    def set(self, cause: Cause) -> bool:
        """Set it; whether this was the first time. `run_actions` must follow."""
        with self._lock:
            if self.event.is_set():
                return False
            self.cause = cause
            self.event.set()
            return True

    def run_actions(self) -> None:
        """Call the actions, newest first; one that fails does not keep the others from being called."""
        while True:
            with self._lock:
                if not self._actions:
                    return
                action = self._actions.pop()
            _quietly(action)


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except Exception:  # the run itself reports what went wrong with its place
        return
