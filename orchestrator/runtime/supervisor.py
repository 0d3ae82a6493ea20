"""Watches ephemeral jobs: a worker without slots, whose jobs outlive it."""

from __future__ import annotations

from orchestrator.engine.admission import MOST_JOBS
from orchestrator.runtime.worker import LAST_WORDS, Worker


class Supervisor(Worker):
    """A Worker by another policy: its runs rent their place, so it has no slots; and it may go without ending them.

    The next supervisor finds them by the handles that come with their dispatches.
    """

    _keeps_folders = True

    def _threads(self) -> int:
        return MOST_JOBS

    def _prepare(self) -> None:
        """Working directories stay: a job that is adopted brings its files back into its own."""

    def hand_over(self) -> None:
        """Take nothing new, and hand back what is watched with the cause WORKER_SHUTDOWN: the jobs go on, and are adopted
        elsewhere. `close` must follow at once: what is done here from now on is nobody's business."""
        self._draining = True
        with self._lock:
            held = list(self._held.values())
        for attempt in held:
            attempt.hand_over()

    def close(self) -> None:
        """Say what is unsaid and go. Jobs go on: whoever is sent their handles adopts them."""
        self.drain()
        self._reporter.close(LAST_WORDS)
        self._spawner.close()
        self._crew.close()
        self._tidying.close()
