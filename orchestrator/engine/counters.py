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

RANK = {State.WARNING: 1, State.FAILED: 2, State.CANCELLED: 3, State.KILLED: 4, State.RETRIED: 5}
STATE_OF_RANK = (State.SUCCESS, State.WARNING, State.FAILED, State.CANCELLED, State.KILLED, State.RETRIED)
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
        self._paused = self._retried = 0

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
        if found is None:
            return self._under.at(key) if self._under is not None else None
        return found or None

    @property
    def paused(self) -> int:
        """How many runs wait to be resumed."""
        return self._paused + (self._under.paused if self._under is not None else 0)

    @property
    def retried(self) -> int:
        """How many runs were given up in favour of another execution."""
        return self._retried + (self._under.retried if self._under is not None else 0)

    def forget(self, run: TaskRun) -> None:
        """Count a row no more that has ended, along with all others of its list; those that it led are to be forgotten too."""
        at, branch, place = (run.parent_id, run.branch, run.iteration), (run.parent_id, run.branch), (run.parent_id, run.branch, run.iteration, run.task_id)
        if self._under is not None:
            self._lists[at], self._branches[branch], self._places[place] = _NO_LIST, _NO_BRANCH, ""
            return
        self._lists.pop(at, None)
        self._branches.pop(branch, None)
        self._places.pop(place, None)
        self._active.pop(run.id, None)

    def take(self, old: TaskRun | None, new: TaskRun) -> None:
        """Count a row that is new or has changed."""
        state, before = new.state.current, old.state.current if old is not None else None
        was_active = before is not None and not before.ended
        is_active = not state.ended
        if before is not state:
            self._paused += (state is State.PAUSED) - (before is State.PAUSED)
            self._retried += (state is State.RETRIED) - (before is State.RETRIED)
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
