"""Who may take the next run: live workers, their free slots and resources, and what waits for them.

Slots are counted from the runs that are out, never kept as a number of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.engine.admission import MOST_JOBS, Rank, Target, Waiting, WaitingLine
from orchestrator.engine.capacity import who_may
from orchestrator.engine.waiting import Standing
from orchestrator.engine.wishes import Step
from orchestrator.model.job import JobHandle
from orchestrator.model.place_name import PlaceName
from orchestrator.model.resources import Resources
from orchestrator.model.worker import WorkerInfo, WorkerState
from orchestrator.model.worker_group import Reserved, WorkerGroup, tags_of

Declared = Callable[[], Mapping[str, WorkerGroup]]
LIVE = frozenset({WorkerState.STARTING, WorkerState.UP})  # takes runs, now or in a moment


@dataclass
class Place:
    """A worker and the runs it has been sent that have not ended; `own` are those with resources, in processes of their own."""

    info: WorkerInfo
    held: set[str] = field(default_factory=set)
    own: dict[str, Resources] = field(default_factory=dict)
    taken: int = 0  # runs of any kind that its machine was sent, in all

    @property
    def free(self) -> int:
        return self.info.slots - len(self.held) if self.info.state is WorkerState.UP else 0

    def has_free(self, asked: Resources) -> bool:
        """Whether its machine has the resources free of our own runs."""
        return self.info.state is WorkerState.UP and all(value <= left + 1e-9 for left, value in self._beside(asked))

    def could_have(self, asked: Resources) -> bool:
        """Whether its machine has them when nothing else runs."""
        return all(value <= self.info.resources.get(name, 0.0) for name, value in asked.by_name.items())

    def _beside(self, asked: Resources) -> Iterator[tuple[float, float]]:
        used = self.resources_used
        return ((self.info.resources.get(name, 0.0) - used.get(name, 0.0), value) for name, value in asked.by_name.items())

    @property
    def resources_used(self) -> Mapping[str, float]:
        used: Counter[str] = Counter()
        for resources in self.own.values():
            used.update(resources.by_name)
        return used


@dataclass(frozen=True)
class Out:
    """A run that has gone: to which place, of which execution and namespace, on whose machine where it is a process of its own."""

    place: str
    execution_id: str
    namespace: str
    worker: str = ""
    resources: Resources | None = None
    backend: str | None = None  # of a supervised run: "" for an engine of the worker's machine
    in_slot_of: str | None = None  # the workspace whose slot it has, and none of its own

    @property
    def watched_by(self) -> tuple[str, str]:
        """What its job is counted with among those watched."""
        return self.worker, self.backend or ""


class Places:
    """Live workers by name, the waiting lines per target, and where each run that is out has gone."""

    def __init__(self, declared: Declared = dict) -> None:
        self._declared = declared
        self._workers: dict[str, Place] = {}
        self._lines: dict[Target, WaitingLine] = {}
        self._out: dict[str, Out] = {}
        self._waiting: dict[str, Target] = {}
        self._watched: Counter[tuple[str, str]] = Counter()  # jobs by machine or back end
        self._left_behind: dict[str, int] = {}  # by the name of a worker that went: how many runs it held
        self.version = 0  # goes up when workers come, go or change their state

    # --- workers

    def see(self, workers: tuple[WorkerInfo, ...]) -> None:
        """Take the present list of workers; what a known one holds, and that it drains, is kept."""
        before = {name: place.info.state for name, place in self._workers.items()}
        for info in workers:
            known = self._workers.get(info.name)
            if known is None:
                self._workers[info.name] = self._found(info)
            else:
                draining = known.info.state is WorkerState.DRAINING and info.state is WorkerState.UP
                known.info = info.model_copy(update={"state": WorkerState.DRAINING}) if draining else info
        for name in set(self._workers) - {info.name for info in workers}:
            if self._workers[name].info.state is not WorkerState.SILENT:
                self._left_behind[name] = len(self._workers.pop(name).held)
        if before != {name: place.info.state for name, place in self._workers.items()}:
            self.version += 1

    def _found(self, info: WorkerInfo) -> Place:
        held = {run for run, out in self._out.items() if out.place == info.name and out.in_slot_of is None}
        return Place(info, held, {run: out.resources for run, out in self._out.items() if out.worker == info.name and out.resources is not None})

    def lose(self, name: str) -> list[tuple[str, str]]:
        """Forget a place; the (task run, execution) ids it held."""
        if (place := self._workers.pop(name, None)) is not None:
            self._left_behind[name] = len(place.held)
            self.version += 1
        lost = [(run, out.execution_id) for run, out in self._out.items() if out.place == name]
        for run, _ in lost:
            self.release(run)
        return lost

    def left_behind(self) -> Mapping[str, int]:
        """Who went since this was asked last, and how many runs each held in its slots then."""
        gone, self._left_behind = self._left_behind, {}
        return gone

    def drain(self, name: str) -> None:
        """Send a worker nothing more: it hands back what it gets."""
        place = self._workers.get(name)
        if place is not None and place.info.state is not WorkerState.DRAINING:
            place.info = place.info.model_copy(update={"state": WorkerState.DRAINING})
            self.version += 1

    def silence(self, name: str) -> None:
        """A worker is out of reach: it gets nothing, and keeps what it holds until it is lost."""
        place = self._workers.get(name)
        if place is not None:
            place.info = place.info.model_copy(update={"state": WorkerState.SILENT})
            self.version += 1

    def has_nothing_to_lose(self, name: str) -> bool:
        """Whether a worker takes nothing more and what it was sent has ended: one that goes now has left."""
        place = self._workers.get(name)
        return place is not None and place.info.state is WorkerState.DRAINING and self.held_at((name,)) == 0

    def groups(self) -> set[str]:
        """The groups with a live worker."""
        return {place.info.group for place in self._workers.values() if place.info.state in LIVE}

    def workers(self) -> tuple[WorkerInfo, ...]:
        """The workers with what they use now."""
        return tuple(place.info.model_copy(update={"used": len(place.held), "resources_used": dict(place.resources_used)}) for place in self._workers.values())

    def worker(self, name: str) -> WorkerInfo | None:
        """One of them; None when it is not there (any more)."""
        place = self._workers.get(name)
        return None if place is None else place.info.model_copy(update={"used": len(place.held), "resources_used": dict(place.resources_used)})

    def burdens(self) -> Mapping[str, tuple[int, int]]:
        """By worker: how many runs of ours are on its machine and in no slot of it, and how many runs that was ever sent."""
        guests = Counter(out.worker for out in self._out.values() if out.worker and out.worker != out.place)
        return {name: (guests[name], place.taken) for name, place in self._workers.items()}

    def note_use(self, worker: str) -> None:
        """A worker was sent something that is no task run."""
        if (place := self._workers.get(worker)) is not None:
            place.taken += 1

    def stir(self) -> None:
        """Have those that may leave their place looked at anew."""
        self.version += 1

    def worker_for(self, step: Step) -> str | None:
        """A worker that takes something which needs no slot: the one of the step's groups that holds least. None: there is none."""
        found = [place for place in self._of(Target.of(step, supervised=True, resources=None)) if place.info.state is WorkerState.UP]
        return min(found, key=lambda place: len(place.held)).info.name if found else None

    def reaching(self, job: JobHandle, where: PlaceName) -> str | None:
        """A worker that reaches a job which is bound to the machine of `where`: of the same group, on its node or of its engine.

        None: there is none."""
        mates = [info for place in self._workers.values() if (info := place.info).state is WorkerState.UP and PlaceName.label_for(info.group) == where.label]
        found = [info for info in mates if where.is_on_machine_of(info.name) or info.engine == job.backend]
        return min(found, key=lambda info: not where.is_on_machine_of(info.name)).name if found else None

    # --- runs

    def wait(self, target: Target, waiting: Waiting, at: datetime) -> None:
        """Put a run into the line of a target."""
        self._lines.setdefault(target, WaitingLine()).put(waiting, at)
        self._waiting[waiting.task_run_id] = target

    def withdraw(self, task_run_id: str) -> bool:
        """Take a run out of its line; whether it stood in one."""
        target = self._waiting.pop(task_run_id, None)
        if target is None:
            return False
        self._lines[target].remove(task_run_id)
        self._tidy(target)
        return True

    def take(self, task_run_id: str, out: Out) -> None:
        """Note that a run has gone to a place."""
        self.release(task_run_id)
        self._out[task_run_id] = out
        if out.backend is not None:
            self._watched[out.watched_by] += 1
        if (of_machine := self._workers.get(out.worker or out.place)) is not None:
            of_machine.taken += 1
        if out.resources is not None:
            machine = self._workers.get(out.worker)
            if machine is not None:
                machine.own[task_run_id] = out.resources
        elif out.in_slot_of is None and (worker := self._workers.get(out.place)) is not None:
            worker.held.add(task_run_id)

    def release(self, task_run_id: str) -> None:
        """Note that a run is out no more."""
        out = self._out.pop(task_run_id, None)
        if out is not None and out.backend is not None:
            self._watched[out.watched_by] -= 1
        for name in (out.place, out.worker) if out is not None else ():
            if (place := self._workers.get(name)) is not None:
                place.held.discard(task_run_id)
                place.own.pop(task_run_id, None)

    def place_of(self, task_run_id: str) -> str | None:
        out = self._out.get(task_run_id)
        return out.place if out is not None else None

    def own_process_of(self, task_run_id: str) -> str | None:
        """The place of a run that has a process of its own."""
        out = self._out.get(task_run_id)
        return out.place if out is not None and out.resources is not None else None

    def state_of(self, worker: str | None) -> WorkerState | None:
        """The state of a worker; None where it is not known (any more)."""
        place = self._workers.get(worker or "")
        return place.info.state if place is not None else None

    def group_of(self, worker: str) -> str:
        """The group of a live worker."""
        return self._workers[worker].info.group

    def held_at(self, places: Collection[str]) -> int:
        """How many runs are out at these places."""
        return sum(out.place in places for out in self._out.values())

    def holds(self, task_run_id: str) -> bool:
        """Whether a run waits or is out."""
        return task_run_id in self._out or task_run_id in self._waiting

    def admit(self) -> Iterator[tuple[Waiting, Target, str]]:
        """Runs that may go now, each with the worker that takes it. A caller that sends one notes it with `take` before it asks for more."""
        while (chosen := self._next()) is not None:
            target, waiting, worker = chosen
            self._lines[target].take(waiting)
            del self._waiting[waiting.task_run_id]
            self._tidy(target)
            yield waiting, target, worker

    def _next(self) -> tuple[Target, Waiting, str] | None:
        best: tuple[Rank, Target, Waiting, str] | None = None
        for target, line in self._lines.items():
            found = self._taker(target, line)
            if found is not None and (best is None or found[0] < best[0]):
                best = (found[0], target, found[1], found[2])
        return best[1:] if best is not None else None

    def _taker(self, target: Target, line: WaitingLine) -> tuple[Rank, Waiting, str] | None:
        """Who of a line goes next, and to which worker: the one with most free."""
        if target.resources is not None:
            fitting = (place for place in self._of(target) if place.has_free(target.resources))
            found = sorted(fitting, key=lambda place: -len(place.own))  # what takes fractions is packed
        elif target.supervised:
            found = [place for place in self._of(target) if place.info.state is WorkerState.UP and self._watched_with(place, target) < MOST_JOBS]
            found.sort(key=lambda place: not (target.backend and _is_on_head(place)))  # the head dies last
        else:
            found = sorted((place for place in self._of(target) if place.free > 0), key=lambda place: -place.free)
        for place in found:
            head = line.first(self._who_may(place.info.group) if target.takes_slot else self._group(place.info.group).allows)
            if head is not None:
                return (*head, place.info.name)
        return None

    def _watched_with(self, place: Place, target: Target) -> int:
        return self._watched[("", target.backend) if target.backend else (place.info.name, "")]

    def _who_may(self, key: str) -> Callable[[str], bool]:
        group = self._group(key)
        if not group.reserved:
            return group.allows
        kept = self._kept_free(key, group.reserved)
        return lambda namespace: group.allows(namespace) and kept(namespace)

    def _kept_free(self, group: str, reserved: Sequence[Reserved]) -> Callable[[str], bool]:
        members = [place for place in self._workers.values() if place.info.group == group and place.info.state is WorkerState.UP]
        used = Counter(self._out[run].namespace for place in members for run in place.held)
        wanting = {name for target, line in self._lines.items() if target.takes_slot and self._meets(target, group) for name in line.namespaces()}
        return who_may(reserved, sum(place.info.slots for place in members), used, wanting)

    def _tidy(self, target: Target) -> None:
        if not self._lines[target]:
            del self._lines[target]

    # --- groups

    def _group(self, key: str) -> WorkerGroup:
        return self._declared().get(key) or WorkerGroup.model_construct(key=key)

    def tags(self, key: str) -> frozenset[str]:
        """All that a selector finds a group by now."""
        labels = [place.info.labels for place in self._workers.values() if place.info.group == key]
        return tags_of(key, self._declared().get(key), labels)

    def _meets(self, target: Target, key: str) -> bool:
        return target.meets(key, self.tags(key)) if target.tags else key == target.group

    def _of(self, target: Target) -> list[Place]:
        if not target.tags:
            return [place for place in self._workers.values() if place.info.group == target.group]
        groups = {key for key in {place.info.group for place in self._workers.values()} if self._meets(target, key)}
        return [place for place in self._workers.values() if place.info.group in groups]

    # --- how it stands

    def standing(self, target: Target, namespace: str, asked_for: int = 0) -> Standing:
        """How a target stands just now for a namespace; `asked_for` machines have been asked of an autoscaler."""
        found = [place for place in self._of(target) if place.info.state in LIVE and self._group(place.info.group).allows(namespace)]
        up = [place for place in found if place.info.state is WorkerState.UP]
        return Standing(
            groups=tuple(sorted(self.groups_for(target))),
            up=len(up),
            starting=len(found) - len(up),
            slots=sum(place.info.slots for place in up),
            used=sum(len(place.held) for place in up),
            fits=sum(target.resources is None or place.could_have(target.resources) for place in found),
            asked_for=asked_for,
            jobs=max((self._watched_with(place, target) for place in up), default=0) if target.supervised else None,
        )

    def groups_for(self, target: Target) -> set[str]:
        """The groups that would do and have a worker or a declaration."""
        known = {place.info.group for place in self._workers.values()} | set(self._declared())
        return {key for key in known if self._meets(target, key)}

    def is_reserved_from(self, target: Target, namespace: str) -> bool:
        """Whether a slot is free for others and not for this namespace."""
        free = {place.info.group for place in self._of(target) if place.free > 0} if target.takes_slot else set()
        return bool(free) and not any(self._who_may(group)(namespace) for group in free)

    def execution_of(self, task_run_id: str) -> str | None:
        """The execution of a run that waits or is out."""
        out, target = self._out.get(task_run_id), self._waiting.get(task_run_id)
        return out.execution_id if out is not None else self._lines[target].execution_of(task_run_id) if target is not None else None

    def ahead_of(self, task_run_id: str) -> int:
        """How many came to its line before a waiting run."""
        target = self._waiting.get(task_run_id)
        return self._lines[target].ahead_of(task_run_id) if target is not None else 0

    def target_of(self, task_run_id: str) -> Target | None:
        return self._waiting.get(task_run_id)

    def lines(self) -> Mapping[Target, WaitingLine]:
        """The lines in which something waits."""
        return self._lines

    def waiting_for(self, group: str) -> list[str]:
        """The runs in line for a group, or for any of several of which it is one."""
        return [run for run, target in self._waiting.items() if self._meets(target, group)]

    def oldest_wait(self, group: str) -> datetime | None:
        """Since when the run waits that waits longest for a group."""
        lines = (line for target, line in self._lines.items() if self._meets(target, group))
        return min((at for line in lines if (at := line.oldest()) is not None), default=None)

    def queued(self) -> dict[str, int]:
        """How many runs wait, by group; what waits for tags counts for each group that would do, or under its tags where none is known."""
        counts: Counter[str] = Counter()
        for target, line in self._lines.items():
            for key in self.groups_for(target) if target.tags else (target.group or "",):
                counts[key] += len(line)
        return dict(counts)


def _is_on_head(place: Place) -> bool:
    name = PlaceName.parse(place.info.name)
    return name is not None and name.on_head
