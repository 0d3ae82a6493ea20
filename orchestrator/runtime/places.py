"""Who may take the next run: live workers, their free slots, and what waits for each group.

Slots are counted from the runs that are out, never kept as a number of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from orchestrator.engine.admission import Waiting, WaitingLine
from orchestrator.model.worker import WorkerInfo, WorkerState


@dataclass
class Place:
    """A live worker and the runs it has been sent that have not ended."""

    info: WorkerInfo
    held: set[str] = field(default_factory=set)

    @property
    def free(self) -> int:
        return self.info.slots - len(self.held) if self.info.state is WorkerState.UP else 0


class Places:
    """Live workers by name, the waiting lines per group, and where each run that is out has gone."""

    def __init__(self) -> None:
        self._workers: dict[str, Place] = {}
        self._lines: dict[tuple[str, bool], WaitingLine] = {}  # by (group, supervised)
        self._at: dict[str, tuple[str, str]] = {}  # task run id -> (place, execution id)
        self._waiting: dict[str, tuple[str, bool]] = {}  # task run id -> its line

    # --- workers

    def see(self, workers: tuple[WorkerInfo, ...]) -> None:
        """Take the present list of live workers; what a known one holds is kept."""
        for info in workers:
            known = self._workers.get(info.name)
            if known is None:
                self._workers[info.name] = Place(info, {run for run, (at, _) in self._at.items() if at == info.name})
            else:
                known.info = info.model_copy(update={"state": known.info.state})
        for name in set(self._workers) - {info.name for info in workers}:
            del self._workers[name]

    def lose(self, name: str) -> list[tuple[str, str]]:
        """Forget a place; the (task run, execution) ids it held."""
        self._workers.pop(name, None)
        lost = [(run, execution) for run, (at, execution) in self._at.items() if at == name]
        for run, _ in lost:
            del self._at[run]
        return lost

    def drain(self, name: str) -> None:
        """Send a worker nothing more: it hands back what it gets."""
        place = self._workers.get(name)
        if place is not None:
            place.info = place.info.model_copy(update={"state": WorkerState.DRAINING})

    def groups(self) -> set[str]:
        """The groups with a live worker."""
        return {place.info.group for place in self._workers.values()}

    def workers(self) -> tuple[WorkerInfo, ...]:
        """The live workers with what they use now."""
        return tuple(place.info.model_copy(update={"used": len(place.held)}) for place in self._workers.values())

    # --- runs

    def wait(self, group: str, waiting: Waiting, *, supervised: bool = False) -> None:
        """Put a run into its group's line; a supervised one needs a machine of the group but no slot of it."""
        self._lines.setdefault((group, supervised), WaitingLine()).put(waiting)
        self._waiting[waiting.task_run_id] = (group, supervised)

    def withdraw(self, task_run_id: str) -> bool:
        """Take a run out of its line; whether it stood in one."""
        line = self._waiting.pop(task_run_id, None)
        if line is None:
            return False
        self._lines[line].remove(task_run_id)
        return True

    def take(self, task_run_id: str, place: str, execution_id: str) -> None:
        """Note that a run has gone to a place."""
        self.release(task_run_id)
        self._at[task_run_id] = (place, execution_id)
        worker = self._workers.get(place)
        if worker is not None:
            worker.held.add(task_run_id)

    def release(self, task_run_id: str) -> None:
        """Note that a run is out no more."""
        at = self._at.pop(task_run_id, None)
        place = self._workers.get(at[0]) if at is not None else None
        if place is not None:
            place.held.discard(task_run_id)

    def place_of(self, task_run_id: str) -> str | None:
        at = self._at.get(task_run_id)
        return at[0] if at is not None else None

    def holds(self, task_run_id: str) -> bool:
        """Whether a run waits or is out."""
        return task_run_id in self._at or task_run_id in self._waiting

    def queued(self) -> dict[str, int]:
        """How many runs wait, by group."""
        counts: dict[str, int] = {}
        for (group, _), line in self._lines.items():
            if len(line):
                counts[group] = counts.get(group, 0) + len(line)
        return counts

    def admit(self) -> Iterator[tuple[Waiting, str, bool]]:
        """Runs that may go now, each with the worker whose slot (supervised: whose machine) takes it: the freest of the group."""
        for (group, supervised), line in self._lines.items():
            places = [place for place in self._workers.values() if place.info.group == group]
            while len(line) and places:
                freest = max(places, key=lambda place: place.free)
                if freest.free <= 0 and not supervised:
                    break
                waiting = line.next()
                del self._waiting[waiting.task_run_id]
                if not supervised:
                    self.take(waiting.task_run_id, freest.info.name, waiting.execution_id)
                yield waiting, freest.info.name, supervised
