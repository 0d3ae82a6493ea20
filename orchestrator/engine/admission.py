"""Which waiting run goes next: those of executions already at work first, the older execution before the younger; among
executions that have not begun, the namespaces take turns; then first come."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from orchestrator.engine.wishes import Step
from orchestrator.model.resources import Resources

MOST_JOBS = 256  # watched at once for one machine's own engines, and for one back end that belongs to no machine; more wait in line
Place: TypeAlias = tuple[bool, datetime, int]  # in the line of one namespace: not at work yet, start of the execution, ticket
Rank: TypeAlias = tuple[bool, float, datetime, int]  # among namespaces, with the namespace's turn where not at work: the smaller goes first


@dataclass(frozen=True)
class Target:
    """What a run waits for: a slot of a group (by key, or any whose tags match), a machine of it (`supervised`: its job is
    rented elsewhere and takes no slot), or a machine with `resources` free (it takes a process of its own and no slot).

    `backend` names where a supervised job goes that belongs to no machine; "" is an engine of the machine itself."""

    group: str | None = ""
    tags: tuple[str, ...] = ()
    match: Literal["ALL", "ANY"] = "ALL"
    supervised: bool = False
    resources: Resources | None = None
    backend: str = ""

    @classmethod
    def of(cls, step: Step, *, supervised: bool, resources: Resources | None, backend: str = "") -> Target:
        """The target of a step; one that names a task runner is launched by the default group."""
        if step.runner is not None:
            return cls(supervised=supervised, backend=backend)
        return cls(step.group if not step.tags else None, step.tags, step.match, supervised, resources, backend)

    def meets(self, key: str, tags: frozenset[str]) -> bool:
        """Whether a group with this key and these tags will do."""
        if not self.tags:
            return key == self.group
        return set(self.tags) <= tags if self.match == "ALL" else bool(tags.intersection(self.tags))

    @property
    def takes_slot(self) -> bool:
        return not self.supervised and self.resources is None


@dataclass(frozen=True)
class Waiting:
    """A run in line. `at_work` says that its execution has begun something already: a flood of new executions must not hold it up."""

    task_run_id: str
    execution_id: str
    namespace: str
    since: datetime  # start of the execution
    at_work: bool = False


@dataclass
class _Heap:
    """Those of one namespace in one line; who has withdrawn is skipped when he comes up."""

    entries: list[tuple[Place, Waiting]] = field(default_factory=list)
    turns: float = 0.0  # the last turn that this namespace took


class WaitingLine:
    """The line of one target. Putting and taking cost O(log n) and one look at each namespace in it."""

    def __init__(self) -> None:
        self._heaps: dict[str, _Heap] = {}
        self._standing: dict[str, tuple[int, str, datetime | None]] = {}  # by task run: ticket, execution, when it came
        self._tickets = 0
        self._turn = 0.0  # of whoever went last among those not at work

    def __len__(self) -> int:
        return len(self._standing)

    def __contains__(self, task_run_id: str) -> bool:
        return task_run_id in self._standing

    def put(self, waiting: Waiting, at: datetime | None = None) -> None:
        """Join the line; a run already in it stays where it is. `at` is the moment, for `oldest`."""
        if waiting.task_run_id in self._standing:
            return
        self._tickets += 1
        heap = self._heaps.setdefault(waiting.namespace, _Heap())
        self._standing[waiting.task_run_id] = (self._tickets, waiting.execution_id, at)
        heapq.heappush(heap.entries, ((not waiting.at_work, waiting.since, self._tickets), waiting))

    def remove(self, task_run_id: str) -> None:
        """Leave the line, if in it."""
        self._standing.pop(task_run_id, None)
        self._tidy()

    def first(self, may: Callable[[str], bool] = lambda namespace: True) -> tuple[Rank, Waiting] | None:
        """Who goes next among the namespaces that may; None when nobody."""
        heads = (head for namespace in list(self._heaps) if may(namespace) and (head := self._head(namespace)) is not None)
        return min(heads, key=lambda head: head[0], default=None)

    def take(self, waiting: Waiting) -> None:
        """Let go the one that `first` gave."""
        heap = self._heaps[waiting.namespace]
        (is_new, _, _), _ = heapq.heappop(heap.entries)
        del self._standing[waiting.task_run_id]
        if is_new:
            heap.turns = self._turn = self._next_turn(heap)
        self._tidy()

    def _next_turn(self, heap: _Heap) -> float:
        """One after the namespace's last; a namespace that had nothing in line saves up none, and waits behind nobody's backlog."""
        return max(heap.turns + 1.0, self._turn)

    def _head(self, namespace: str) -> tuple[Rank, Waiting] | None:
        heap = self._heaps[namespace]
        while heap.entries:
            (is_new, since, ticket), waiting = heap.entries[0]
            standing = self._standing.get(waiting.task_run_id)
            if standing is not None and standing[0] == ticket:
                return (is_new, self._next_turn(heap) if is_new else 0.0, since, ticket), waiting
            heapq.heappop(heap.entries)
        if self._turn > heap.turns:  # nothing to remember of it
            del self._heaps[namespace]
        return None

    def _tidy(self) -> None:
        if not self._standing:
            self._heaps.clear()
            self._turn = 0.0

    def namespaces(self) -> Iterable[str]:
        """Those that have a run in line."""
        return [namespace for namespace in list(self._heaps) if self._head(namespace) is not None]

    def execution_of(self, task_run_id: str) -> str:
        """The execution of a run in line. Raises KeyError."""
        return self._standing[task_run_id][1]

    def oldest(self) -> datetime | None:
        """When the one that waits longest came."""
        return next((at for _, _, at in self._standing.values()), None)

    def ahead_of(self, task_run_id: str) -> int:
        """How many of its line came before a run (not all of them need go before it)."""
        mine = self._standing.get(task_run_id)
        return 0 if mine is None else sum(ticket < mine[0] for ticket, _, _ in self._standing.values())
