"""Lets the groups with `max` grow and shrink: says what machines they want, and ends workers that have long been idle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.engine.admission import Target
from orchestrator.engine.scaling import Course, Line, Member, Plan, own_lines, plan
from orchestrator.model.growth import Growth
from orchestrator.model.place_name import PlaceName
from orchestrator.model.worker import OF_NODE, WorkerInfo, WorkerState
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime.cluster import Cluster
from orchestrator.runtime.places import Places
from orchestrator.runtime.worker_groups import WorkerGroups

ASK_WHY = timedelta(seconds=15)  # between two questions to the one who rents machines
WAIT_FOR_WHY = timedelta(seconds=20)  # no machine comes sooner: not asked before


@dataclass(frozen=True)
class Triggers:
    """What evaluations of triggers hold and lack: how many each worker has, and for which targets there is none, with their namespaces."""

    counts: Callable[[], Mapping[str, int]]
    lacking: Callable[[], Iterable[tuple[Target, str]]]


@dataclass(frozen=True)
class Told:
    """Who is told of each worker that is told to end, and once of each ask that nobody answers."""

    leaves: Callable[[str], None]
    overdue: Callable[[Growth], None]


class Scaling:
    """Looks at the places as the last turn left them: whatever may run then does, and what stands in line lacks something."""

    def __init__(self, *, groups: WorkerGroups, places: Places, cluster: Cluster, triggers: Triggers, told: Told) -> None:
        self._groups, self._places, self._cluster, self._triggers, self._told = groups, places, cluster, triggers, told
        self._courses: dict[str, Course] = {}
        self._growths: dict[str, Growth] = {}
        self._retired: set[str] = set()  # those of them that have not gone yet
        self._asked_why: datetime | None = None
        self._troubles: Sequence[str] = ()

    async def look(self, now: datetime) -> None:
        """Decide once for every group with `max`, and have it done."""
        growing = {key: group for key, group in self._groups.declared.items() if group.max is not None}
        if not growing and not self._courses:
            return
        members = self._members()
        owned = own_lines(self._lines(), growing, members)
        found = {key: plan(group, members, owned.get(key, ()), self._courses.get(key, Course()), now) for key, group in growing.items()}
        self._courses = {key: course for key, (_, course) in found.items()}
        plans = [made for made, _ in found.values()]
        for made in plans:
            self._end(made)
        self._cluster.want([made.ask for made in plans])
        await self._ask_why(plans, now)
        self._tell(plans)

    def _end(self, made: Plan) -> None:
        for name in (*made.ends, *made.leaves):
            self._places.drain(name)  # first: nothing is sent to it from now on, so it holds nothing for good
            self._told.leaves(name)
            self._cluster.retire(name, for_good=name in made.leaves)
            self._retired.add(name)

    async def _ask_why(self, plans: list[Plan], now: datetime) -> None:
        waits = [made.growth.since for made in plans if made.growth.since is not None and now - made.growth.since >= WAIT_FOR_WHY]
        if not waits:
            self._troubles = ()
        elif self._asked_why is None or now - self._asked_why >= ASK_WHY:
            self._asked_why = now
            self._troubles = await self._cluster.troubles()

    def _tell(self, plans: list[Plan]) -> None:
        in_vain = {key for key, growth in self._growths.items() if growth.overdue}
        self._growths = {
            made.ask.group: made.growth.model_copy(update={"provider": tuple(self._troubles)}) if made.growth.wanted and self._troubles else made.growth
            for made in plans
        }
        if in_vain != {key for key, growth in self._growths.items() if growth.overdue}:
            self._places.stir()  # a group that waits in vain counts as one that cannot grow
        for made in plans:
            if made.is_news:
                self._told.overdue(self._growths[made.ask.group])

    # --- what is seen

    def _members(self) -> list[Member]:
        workers, burdens, evaluations = self._places.workers(), self._places.burdens(), self._triggers.counts()
        self._retired &= {info.name for info in workers}
        return [_member(info, burdens[info.name], evaluations.get(info.name, 0), is_retired=info.name in self._retired) for info in workers]

    def _lines(self) -> list[Line]:
        runs = [
            Line(self._open_to(target, line.namespaces()), len(line), target.resources, takes_slot=not target.supervised)
            for target, line in self._places.lines().items()
        ]
        return [*runs, *(Line(self._open_to(target, (namespace,)), 1, takes_slot=False) for target, namespace in {*self._triggers.lacking()})]

    def _open_to(self, target: Target, namespaces: Iterable[str]) -> tuple[str, ...]:
        """The groups that would do for all who wait; where there is none, for some of them."""
        wanting = set(namespaces)
        found = {key: sum(map(self._groups.group(key).allows, wanting)) for key in self._places.groups_for(target)}
        for_all = tuple(key for key, count in found.items() if count == len(wanting))
        return for_all or tuple(key for key, count in found.items() if count)

    # --- what is told

    def growth(self, key: str) -> Growth | None:
        """How the growth of a group stands; None for one that does not grow by itself."""
        return self._growths.get(key)

    def growths(self, target: Target) -> tuple[Growth, ...]:
        """The growth of all groups that would serve a target, where machines are asked for or starting."""
        found = (self._growths.get(key) for key in sorted(self._places.groups_for(target)))
        return tuple(growth for growth in found if growth is not None and (growth.wanted or growth.starting))

    def asked_for(self, target: Target) -> int:
        """How many machines have been asked for that would serve a target and have not come."""
        return sum(growth.wanted for growth in self.growths(target))

    def growing(self) -> Set[str]:
        """The groups to which a machine may yet come."""
        return {key for key, group in self._groups.declared.items() if self._may_grow(key, group)}

    def may_grow(self, target: Target, namespace: str) -> bool:
        """Whether a machine may yet come that serves a namespace: a group is below its `max`, and is not waiting in vain."""
        groups = {key: self._groups.group(key) for key in self._places.groups_for(target)}
        return any(group.allows(namespace) and self._may_grow(key, group) for key, group in groups.items())

    def _may_grow(self, key: str, group: WorkerGroup) -> bool:
        if group.max is None or (key in self._growths and self._growths[key].overdue):
            return False
        return len({info.node_id for info in self._places.workers() if info.group == key}) < group.max


def _member(info: WorkerInfo, burden: tuple[int, int], evaluations: int, *, is_retired: bool) -> Member:
    name, (guests, taken) = PlaceName.parse(info.name), burden
    return Member(
        name=info.name,
        machine=info.node_id,
        group=info.group,
        slots=info.slots,
        used=info.used,
        others=guests + evaluations,
        taken=taken,
        up=info.state is WorkerState.UP,
        starting=info.state is WorkerState.STARTING,
        drained=info.state is WorkerState.DRAINING and not is_retired,
        may_go=OF_NODE not in info.labels and not (name is not None and name.on_head),
        resources=_free(info),
    )


def _free(info: WorkerInfo) -> Mapping[str, float]:
    return {kind: amount - info.resources_used.get(kind, 0.0) for kind, amount in info.resources.items()}
