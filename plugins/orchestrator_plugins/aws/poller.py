"""One look at all jobs of a back end at a time, whoever waits for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator.sdk import JobLost, OrchestratorError
from orchestrator_plugins.aws.detail import Detail, detail_of

MOST = 100  # jobs that one DescribeJobs tells of
UNKNOWN = 60.0  # seconds that a job may be unknown: just after it was submitted it is
PATIENCE = 120.0  # seconds that the service may be away
LONGEST = 60.0  # seconds between looks at a service that wants fewer calls
SOONEST = 0.05  # seconds that the first look at a new job waits for others that begin at the same time

Describe = Callable[[Sequence[str]], Sequence[Mapping[str, Any]]]


class Watch:
    """One job being watched."""

    def __init__(self, job: str, interval: float) -> None:
        self.job, self.interval = job, interval
        self.detail: Detail | None = None
        self.looks = self.taken = 0
        self.known_at = time.monotonic()


class Poller:
    """Looks at the jobs watched every so often, the shortest interval asked for; rests longer while the service is throttled."""

    def __init__(self, describe: Describe) -> None:
        self._describe = describe
        self._changed = threading.Condition()
        self._watches: list[Watch] = []
        self._thread: threading.Thread | None = None
        self._trouble: OrchestratorError | None = None
        self._answered = time.monotonic()
        self._new = False

    @contextmanager
    def watching(self, job: str, interval: float) -> Iterator[Watch]:
        """Watch a job meanwhile."""
        watch = Watch(job, interval)
        with self._changed:
            if not self._watches:
                self._answered = time.monotonic()
            self._watches.append(watch)
            self._new = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aws-batch-poller", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        try:
            yield watch
        finally:
            with self._changed:
                self._watches.remove(watch)

    def look(self, watch: Watch, seconds: float) -> Detail | None:
        """What the next look tells; None when there is none within this time, or while the service does not know the job.

        Raises JobLost when it stays unknown, and what the service says when it stays away."""
        with self._changed:
            self._changed.wait_for(lambda: watch.looks > watch.taken, seconds)
            news, watch.taken = watch.looks > watch.taken, watch.looks
            if self._trouble is not None and time.monotonic() - self._answered > PATIENCE:
                raise self._trouble
            if self._trouble is None and watch.looks and time.monotonic() - watch.known_at > UNKNOWN:
                raise JobLost(f"AWS Batch does not know job {watch.job}")
            return watch.detail if news else None

    def hurry(self) -> None:
        """Look soon: something has just been seen that will end a job."""
        with self._changed:
            self._new = True
            self._changed.notify_all()

    def _run(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                self._new = False
                watches = list(self._watches)
                if not watches:
                    self._thread = None
                    return
            pause = self._looked(watches, pause)
            self._rest(pause)

    def _rest(self, pause: float) -> None:
        """Until the next look is due, or wanted; where the service wants fewer calls, to the end."""
        with self._changed:
            seconds = max(pause, min((watch.interval for watch in self._watches), default=0.0))
            self._changed.wait_for((lambda: False) if pause else (lambda: self._new), seconds)
        time.sleep(SOONEST)

    def _looked(self, watches: Sequence[Watch], pause: float) -> float:
        """Look once; how long to rest at least."""
        jobs = sorted({watch.job for watch in watches})
        try:
            found = [detail_of(one) for at in range(0, len(jobs), MOST) for one in self._describe(jobs[at : at + MOST])]
        except OrchestratorError as err:
            with self._changed:
                self._trouble = err
                self._changed.notify_all()
            return min(LONGEST, max(1.0, pause * 2))
        self._tell(watches, {detail.id: detail for detail in found})
        return 0.0

    def _tell(self, watches: Sequence[Watch], found: Mapping[str, Detail]) -> None:
        now = time.monotonic()
        with self._changed:
            self._trouble, self._answered = None, now
            for watch in watches:
                watch.looks += 1
                detail = found.get(watch.job)
                if detail is not None:
                    watch.known_at, watch.detail = now, detail
            self._changed.notify_all()
