"""How many machines a worker group wants of an autoscaler, and which idle workers may end so that their machines can go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.model.growth import Ask, Growth
from orchestrator.model.resources import Resources
from orchestrator.model.worker_group import WorkerGroup

UP_AFTER = timedelta(seconds=2)  # a queue that lasts shorter is worked off before any machine could come
BESIDE = timedelta(seconds=10)  # runs that have stood in line beside a free slot for this long may not have it: it is kept for others
HOLD = timedelta(seconds=10)  # an ask is taken back once it has been too high for this long: a queue comes and goes faster
OVERDUE = timedelta(minutes=10)  # from an ask without any machine coming to when it is told


@dataclass(frozen=True)
class Line:
    """`runs` that wait, alike in what they need: a slot, a machine with `resources` free, or (`takes_slot` False) any machine.
    Several `groups`: any of them will do."""

    groups: tuple[str, ...]
    runs: int
    resources: Resources | None = None
    takes_slot: bool = True


@dataclass(frozen=True)
class Member:
    """A worker of a group. `used` counts its slots in use, `others` what else of ours runs on its machine, `taken` all runs that
    its machine was ever sent. Neither `up` nor `starting`: it takes nothing any more; `drained`: because somebody said so.
    `may_go`: an autoscaler brought its machine."""

    name: str
    machine: str
    group: str
    slots: int
    used: int = 0
    others: int = 0
    taken: int = 0
    up: bool = True
    starting: bool = False
    drained: bool = False
    may_go: bool = True
    resources: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Course:
    """What must be known of a group's past."""

    machines: frozenset[str] = frozenset()
    asked: int = 0
    pressed_since: datetime | None = None
    fewer_since: datetime | None = None
    asked_since: datetime | None = None
    was_told: bool = False
    idle: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)  # by worker: `taken` then, since when it holds nothing


@dataclass(frozen=True)
class Plan:
    """What to do for a group now. `ends` may come back when they are wanted, `leaves` may not: somebody drained them.
    `is_news`: the ask has just become overdue."""

    ask: Ask
    growth: Growth
    ends: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    is_news: bool = False


def plan(group: WorkerGroup, members: Iterable[Member], lines: Iterable[Line], course: Course, now: datetime) -> tuple[Plan, Course]:
    """The plan of a group with `max`, given all workers, and the lines that are its own to serve."""
    mine = [member for member in members if member.group == group.key]
    lines = [line for line in lines if line.runs > 0]
    machines = frozenset(member.machine for member in mine)
    room = max(0, (group.max or 0) - len(machines))
    pressed_since = (course.pressed_since or now) if lines else None
    more, bundles = _missing(group, mine, lines, pressed_since, now)
    arrived = len(machines - course.machines)
    asked, fewer_since = _steadied(min(more, room), min(room, max(0, course.asked - arrived)), course.fewer_since, now)
    ask = Ask(group.key, asked, max(1, _slots_each(group, mine)), bundles[: room - asked], machines)
    asked_since = (now if arrived or course.asked_since is None else course.asked_since) if ask.machines else None
    overdue = asked_since is not None and now - asked_since >= OVERDUE
    starting = sum(member.starting for member in mine)
    growth = Growth(group=group.key, wanted=ask.machines, starting=starting, since=asked_since, overdue=overdue)
    idle = _idle(mine, course, now)
    may_end = not asked and not starting and not any(line.takes_slot and line.resources is None for line in lines)
    ends = _ending(group, mine, idle, now) if may_end else ()
    leaves = tuple(member.name for member in mine if member.drained and member.may_go and not member.used and not member.others)
    return Plan(ask, growth, ends, leaves, overdue and not course.was_told), Course(machines, asked, pressed_since, fewer_since, asked_since, overdue, idle)


def own_lines(lines: Iterable[Line], groups: Mapping[str, WorkerGroup], members: Iterable[Member]) -> Mapping[str, Sequence[Line]]:
    """Which group is to grow for each line. One that several groups would serve makes only one of them grow: the first that has
    room to; else machines would come for the same runs several times over."""
    count: dict[str, set[str]] = {}
    for member in members:
        count.setdefault(member.group, set()).add(member.machine)
    owned: dict[str, list[Line]] = {}
    for line in lines:
        growing = [key for key in sorted(line.groups) if key in groups and groups[key].max is not None]
        with_room = [key for key in growing if len(count.get(key, ())) < (groups[key].max or 0)]
        for key in (with_room or growing)[:1]:
            owned.setdefault(key, []).append(line)
    return owned


def _missing(
    group: WorkerGroup, mine: Sequence[Member], lines: Sequence[Line], pressed_since: datetime | None, now: datetime
) -> tuple[int, tuple[Resources, ...]]:
    """How many machines more the lines and `min` need, and what further ones must have; whatever `max` says."""
    serving = [member for member in mine if member.up or member.starting]
    below = max(0, group.min - len(serving))
    if pressed_since is None or (serving and now - pressed_since < UP_AFTER):
        return below, ()
    queue = sum(line.runs for line in lines if line.takes_slot and line.resources is None)
    free = sum(max(0, member.slots - member.used) for member in mine if member.up) if now - pressed_since < BESIDE else 0
    coming = sum(member.slots for member in mine if member.starting)
    more = _workers_for(max(0, queue - free - coming), _slots_each(group, mine), coming=coming)
    if not serving and not more and any(not line.takes_slot for line in lines):
        more = 1
    own = (line.resources for line in lines if line.resources is not None for _ in range(min(line.runs, group.max or 0)))
    return max(below, more), tuple(_unhoused(own, [member for member in mine if member.starting]))


def _slots_each(group: WorkerGroup, mine: Sequence[Member]) -> int:
    """What a new worker takes at once, as far as is known; else 0."""
    return group.slots or max((member.slots for member in mine), default=0)


def _workers_for(slots: int, each: int, *, coming: int) -> int:
    """Where nobody knows what a worker of the group takes, the first one is waited for."""
    if not each:
        return 1 if slots and not coming else 0
    return -(-slots // each)


def _unhoused(asked: Iterable[Resources], starting: Sequence[Member]) -> Iterable[Resources]:
    """What will not find room on the machines that have just come."""
    left = [dict(member.resources) for member in starting]
    for one in asked:
        home = next((free for free in left if all(free.get(name, 0.0) >= value for name, value in one.by_name.items())), None)
        if home is None:
            yield one
        else:
            home.update({name: home[name] - value for name, value in one.by_name.items()})


def _steadied(more: int, outstanding: int, fewer_since: datetime | None, now: datetime) -> tuple[int, datetime | None]:
    """The ask, and since when it has been higher than needed: it rises at once, and falls after a while."""
    if more >= outstanding:
        return more, None
    since = fewer_since or now
    return (more, None) if now - since >= HOLD else (outstanding, since)


def _idle(mine: Sequence[Member], course: Course, now: datetime) -> Mapping[str, tuple[int, datetime]]:
    """Since when each worker holds nothing; one that was sent something between two looks begins anew."""
    found: dict[str, tuple[int, datetime]] = {}
    for member in mine:
        if member.up and not member.used and not member.others:
            before = course.idle.get(member.name)
            found[member.name] = before if before is not None and before[0] == member.taken else (member.taken, now)
    return found


def _ending(group: WorkerGroup, mine: Sequence[Member], idle: Mapping[str, tuple[int, datetime]], now: datetime) -> tuple[str, ...]:
    """The workers above `min` that have been idle long enough, those that were so longest first."""
    spare = sum(member.up for member in mine) - group.min
    long_idle = [member.name for member in mine if member.may_go and member.name in idle and now - idle[member.name][1] >= group.idle_timeout]
    return tuple(sorted(long_idle, key=lambda name: (idle[name][1], name))[: max(0, spare)])
