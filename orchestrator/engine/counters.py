"""How many task runs each list holds and how they fare: kept beside the rows, so that a step never counts them.

A list is what one leader (a flowable run, or None for the flow) runs of one branch in one iteration; a branch is all
its iterations together. Everything here follows from the rows and is built again from them.
"""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.model.execution import TaskRun
from orchestrator.model.state import State

ListKey = tuple[str | None, str, int | None]  # leader, branch, iteration
BranchKey = tuple[str | None, str]
PlaceKey = tuple[str | None, str, int | None, str]  # a list and a task id

RANK = {State.WARNING: 1, State.FAILED: 2, State.CANCELLED: 3, State.KILLED: 4}
STATE_OF_RANK = (State.SUCCESS, State.WARNING, State.FAILED, State.CANCELLED, State.KILLED)
FAILED = RANK[State.FAILED]


class ListTally(NamedTuple):
    """One list: how many runs it has, how many go on, and the task created last."""

    created: int = 0
    active: int = 0
    last: str = ""


class BranchTally(NamedTuple):
    """One branch: runs created, runs going on, the worst end so far, iterations begun, iterations with a run going on."""

    created: int = 0
    active: int = 0
    worst: int = 0
    begun: int = 0
    busy: int = 0


_NO_LIST, _NO_BRANCH = ListTally(), BranchTally()


class Counters:
    """Counts over rows, or over the rows of others (`under`) with some changed."""

    def __init__(self, under: Counters | None = None) -> None:
        self._under = under
        self._lists: dict[ListKey, ListTally] = {}
        self._branches: dict[BranchKey, BranchTally] = {}
        self._active: dict[str | None, int] = {}
        self._places: dict[PlaceKey, str] = {}

    def list(self, key: ListKey) -> ListTally:
        found = self._lists.get(key)
        if found is None:
            return self._under.list(key) if self._under is not None else _NO_LIST
        return found

    def branch(self, key: BranchKey) -> BranchTally:
        found = self._branches.get(key)
        if found is None:
            return self._under.branch(key) if self._under is not None else _NO_BRANCH
        return found

    def active(self, leader: str | None) -> int:
        """How many children of a leader go on, whatever their branch."""
        found = self._active.get(leader)
        if found is None:
            return self._under.active(leader) if self._under is not None else 0
        return found

    def at(self, key: PlaceKey) -> str | None:
        """The id of the run of a task in a list."""
        found = self._places.get(key)
        return self._under.at(key) if found is None and self._under is not None else found

    def take(self, old: TaskRun | None, new: TaskRun) -> None:
        """Count a row that is new or has changed."""
        was_active = old is not None and not old.state.current.ended
        is_active = not new.state.current.ended
        if old is not None and was_active == is_active:
            return
        self._count_list(new, created=old is None, change=is_active - was_active)
        self._active[new.parent_id] = self.active(new.parent_id) + is_active - was_active
        if old is None:
            self._places[(new.parent_id, new.branch, new.iteration, new.task_id)] = new.id

    def _count_list(self, run: TaskRun, *, created: bool, change: int) -> None:
        key = (run.parent_id, run.branch, run.iteration)
        before = self.list(key)
        after = ListTally(before.created + created, before.active + change, run.task_id if created else before.last)
        self._lists[key] = after
        branch = self.branch(key[:2])
        self._branches[key[:2]] = BranchTally(
            branch.created + created,
            branch.active + change,
            max(branch.worst, RANK.get(run.state.current, 0)),
            max(branch.begun, run.iteration + 1) if run.iteration is not None else branch.begun,
            branch.busy + (after.active > 0) - (before.active > 0),
        )
