"""Watches ephemeral jobs: a worker without slots, whose jobs outlive it."""

from __future__ import annotations

from collections.abc import Sequence, Set

from orchestrator import registry
from orchestrator.errors import OrchestratorError
from orchestrator.runtime.worker import LAST_WORDS, Worker
from orchestrator.sdk import TaskRunner

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

    def reap(self, live_keys: Set[str]) -> Sequence[str]:
        """Remove what is labelled for this installation and belongs to no live job key; the names of what was removed.

        A back end that does not answer is passed over: it is asked again the next time."""
        removed = list(self._node.remove_working_dirs(unless=live_keys.__contains__))
        for runner in _reapers():
            try:
                removed += runner.reap(self._place.means.installation, live_keys.__contains__)  # type: ignore[attr-defined]
            except OrchestratorError:
                continue
        return removed


def _reapers() -> list[TaskRunner]:
    """One runner of every installed kind that can find its leftovers by label without being told where."""
    kinds: dict[type[TaskRunner], str] = {}
    for name in registry.types("task_runner"):
        try:
            kind = registry.load("task_runner", name)
        except ImportError:
            continue  # an extra that is not installed has left nothing
        if hasattr(kind, "reap"):
            kinds.setdefault(kind, name)
    found = []
    for kind, name in kinds.items():
        try:
            found.append(kind.model_validate({"type": name}))
        except ValueError:
            continue  # it must be told where: an account, a region
    return found
