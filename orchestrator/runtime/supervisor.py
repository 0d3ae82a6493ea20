"""Watches ephemeral jobs: a worker without slots, whose jobs outlive it."""

from __future__ import annotations

from orchestrator.engine.admission import MOST_JOBS
from orchestrator.model.execution import Cause
from orchestrator.runtime.worker import LAST_WORDS, Worker


class Supervisor(Worker):
    """A Worker by another policy: its runs rent their place, so it has no slots; and it may go without ending them.

    The next supervisor finds them by the handles that come with their dispatches.
    """

    def _threads(self) -> int:
        return MOST_JOBS

    def _prepare(self) -> None:
        """Working directories stay: a job that is adopted brings its files back into its own."""

    def hand_over(self) -> None:
        """Take nothing new, and hand back what is watched with the cause WORKER_SHUTDOWN: the jobs go on, and are adopted
        elsewhere. `close` must follow at once: what is done here from now on is nobody's business."""
        self._draining = True
        with self._lock:
            held = [attempt for attempt in self._held.values() if not attempt.over.is_set()]
        for attempt in held:
            self._answer(attempt.dispatch.task_run_id, attempt.dispatch.execution_id, attempt.lease, Cause.WORKER_SHUTDOWN)

    def close(self) -> None:
        """Say what is unsaid and go. Jobs go on: whoever is sent their handles adopts them."""
        self.drain()
        self._reporter.close(LAST_WORDS)
        self._spawner.close()
        self._crew.close()
        self._tidying.close()
