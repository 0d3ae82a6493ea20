"""Watches ephemeral jobs: a worker without slots, whose jobs outlive it."""

from __future__ import annotations

from orchestrator.runtime.worker import LAST_WORDS, Worker

MOST_JOBS = 256  # watched at once; more wait here


class Supervisor(Worker):
    """A Worker by another policy: its runs rent their place, so it has no slots; and it may go without ending them.

    The next supervisor finds them by the handles that come with their dispatches.
    """

    def _threads(self) -> int:
        return MOST_JOBS

    def _prepare(self) -> None:
        """Working directories stay: a job that is adopted brings its files back into its own."""

    def close(self) -> None:
        """Say what is unsaid and go. Jobs go on: whoever is sent their handles adopts them."""
        self.drain()
        self._reporter.close(LAST_WORDS)
        self._spawner.close()
        self._crew.close()
        self._tidying.close()
