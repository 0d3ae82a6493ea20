"""What is to go wrong: ordered by a test, carried out by the emulator."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

LOOK = 0.02  # seconds between looks of a job that is held up


class Faults:
    """All of them at once, or none. Safe in threads; `calm` takes every order back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calm()

    def calm(self) -> None:
        """Order nothing any more."""
        with self._lock:
            self._held: dict[str, str] = {}
            self._slow: dict[str, float] = {}
            self._throttled: Counter[str] = Counter()
            self._lost: Counter[str] = Counter()
            self._unknown = 0
            self.list_lag = 0.0
            self.logs_late = 0.0
            self.glued = 1

    def hold(self, state: str, reason: str = "") -> None:
        """Let no job leave a state (RUNNABLE, STARTING ...), and say why in its `statusReason`."""
        with self._lock:
            self._held[state] = reason

    def release(self, state: str) -> None:
        """Let jobs leave it again."""
        with self._lock:
            self._held.pop(state, None)

    def slow(self, state: str, seconds: float) -> None:
        """Have every job stay in a state so long."""
        with self._lock:
            self._slow[state] = seconds

    def throttle(self, action: str, times: int = 1) -> None:
        """Refuse the next calls of an action (`DescribeJobs` ...) with TooManyRequestsException."""
        with self._lock:
            self._throttled[action.lower()] += times

    def lose_answers(self, action: str, times: int = 1) -> None:
        """Carry the next calls of an action out, and break the connection instead of answering."""
        with self._lock:
            self._lost[action.lower()] += times

    def know_nothing(self, times: int = 1) -> None:
        """Answer the next DescribeJobs with an empty list."""
        with self._lock:
            self._unknown += times

    def lag_lists(self, seconds: float) -> None:
        """Have ListJobs tell of a job only so long after it was submitted."""
        self.list_lag = seconds

    def delay_logs(self, seconds: float) -> None:
        """Have log events come so late."""
        self.logs_late = seconds

    def glue_logs(self, records: int) -> None:
        """Put up to so many records into one log event."""
        self.glued = records

    # --- what the emulator asks

    def is_throttled(self, action: str) -> bool:
        return self._spent(self._throttled, action)

    def loses_answer(self, action: str) -> bool:
        return self._spent(self._lost, action)

    def knows_nothing(self) -> bool:
        with self._lock:
            self._unknown -= (spent := self._unknown > 0)
            return spent

    def _spent(self, left: Counter[str], action: str) -> bool:
        with self._lock:
            left[action.lower()] -= (spent := left[action.lower()] > 0)
            return spent

    def pass_through(self, state: str, told: Callable[[str], None], over: Callable[[], bool]) -> None:
        """Stay in a state as long as was ordered, or until the job is `over`; the reason is told."""
        until = time.monotonic() + self._slow.get(state, 0.0)
        while not over() and ((reason := self._held.get(state)) is not None or time.monotonic() < until):
            if reason:
                told(reason)
            time.sleep(LOOK)
