"""How many machines a worker group asks an autoscaler for, and which idle workers it lets end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.scaling import BESIDE, HOLD, OVERDUE, UP_AFTER, Course, Line, Member, Plan, own_lines, plan
from orchestrator.model.resources import Resources
from orchestrator.model.worker_group import WorkerGroup

START = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = START + UP_AFTER
IDLE = timedelta(minutes=5)
GPU = Resources(gpu=1)


def _group(**fields: Any) -> WorkerGroup:
    return WorkerGroup.model_validate({"key": "g", "max": 3, "slots": 4, **fields})


def _worker(name: str = "w", **fields: Any) -> Member:
    return Member(name=name, machine=f"m-{name}", **{"group": "g", "slots": 4, **fields})


def _line(runs: int, **fields: Any) -> Line:
    return Line(("g",), runs, **fields)


def _settled(group: WorkerGroup, members: Sequence[Member], *lines: Line) -> Plan:
    """The plan once the lines have lasted."""
    _, course = plan(group, members, lines, Course(), START)
    return plan(group, members, lines, course, LATER)[0]


# --- growing


@pytest.mark.parametrize(
    ("workers", "runs", "wanted"),
    [
        ([], 0, 0),
        ([], 1, 1),
        ([], 4, 1),
        ([], 5, 2),
        ([], 1000, 3),
        ([_worker(used=4)], 1, 1),
        ([_worker(used=4)], 8, 2),
        ([_worker(used=2)], 2, 0),
        ([_worker(used=2)], 3, 1),
        ([_worker("a", used=4), _worker("b", used=4)], 100, 1),
        ([_worker("a", used=4), _worker("b", used=4), _worker("c", used=4)], 100, 0),
        ([_worker(up=False, starting=True)], 4, 0),
        ([_worker(up=False, starting=True)], 5, 1),
        ([_worker("a", used=4), _worker("b", up=False)], 4, 1),
    ],
)
def test_a_group_asks_for_as_many_machines_as_its_line_needs_and_max_allows(workers: list[Member], runs: int, wanted: int) -> None:
    made = _settled(_group(), workers, _line(runs))
    assert (made.ask.workers, made.growth.wanted) == (wanted, wanted)
    assert made.ask.slots == 4
    assert made.ends == ()


def test_a_group_that_has_no_worker_asks_at_once() -> None:
    made, _ = plan(_group(), [], [_line(1)], Course(), START)
    assert made.ask.workers == 1
    assert made.growth.since == START


def test_a_line_that_a_worker_soon_works_off_asks_for_nothing() -> None:
    made, course = plan(_group(), [_worker(used=4)], [_line(1)], Course(), START)
    assert made.ask.machines == 0
    made, course = plan(_group(), [_worker(used=4)], [], course, START + SECOND)
    made, course = plan(_group(), [_worker(used=4)], [_line(1)], course, LATER + SECOND)
    assert made.ask.machines == 0, "the line was empty in between"
    made, course = plan(_group(), [_worker(used=4)], [_line(1)], course, LATER + SECOND + UP_AFTER)
    assert made.ask.machines == 1


def test_runs_that_may_not_have_the_free_slot_beside_them_make_a_group_grow() -> None:
    worker, course = _worker(used=2), Course()
    _, course = plan(_group(), [worker], [_line(2)], course, START)
    made, course = plan(_group(), [worker], [_line(2)], course, LATER)
    assert made.ask.workers == 0
    made, course = plan(_group(), [worker], [_line(2)], course, START + BESIDE)
    assert made.ask.workers == 1


def test_a_group_asks_for_its_min_with_nothing_in_line() -> None:
    made, course = plan(_group(min=2), [], [], Course(), START)
    assert made.ask.workers == 2
    made, _ = plan(_group(min=2), [_worker(starting=True, up=False)], [], course, START + SECOND)
    assert (made.ask.workers, made.growth.starting) == (1, 1)


def test_a_group_whose_slots_nobody_knows_asks_for_one_machine_and_learns_from_it() -> None:
    group = _group(slots=None)
    assert _settled(group, [], _line(100)).ask.workers == 1
    assert _settled(group, [_worker(slots=8, starting=True, up=False)], _line(100)).ask.workers == 2


def test_a_rented_job_needs_one_machine_and_no_slot_of_it() -> None:
    assert _settled(_group(), [], _line(50, takes_slot=False)).ask.workers == 1
    assert _settled(_group(), [_worker(used=4)], _line(50, takes_slot=False)).ask.workers == 0


def test_runs_with_resources_ask_for_a_machine_that_has_them_for_each() -> None:
    busy = _worker(used=1, resources={"CPU": 2.0})
    made = _settled(_group(), [busy], _line(5, resources=GPU))
    assert (made.ask.workers, made.ask.bundles, made.growth.wanted) == (0, (GPU, GPU), 2)


def test_a_machine_that_has_just_come_houses_what_it_has_room_for() -> None:
    come = _worker(starting=True, up=False, resources={"GPU": 2.0})
    assert _settled(_group(), [come], _line(2, resources=GPU)).ask.bundles == ()
    assert _settled(_group(), [come], _line(3, resources=GPU)).ask.bundles == (GPU,)


def test_slots_and_resources_share_the_room_below_max() -> None:
    made = _settled(_group(), [_worker(used=4)], _line(1), _line(9, resources=GPU))
    assert (made.ask.workers, made.ask.bundles) == (1, (GPU,))


# --- steadiness


def test_an_ask_is_kept_while_the_line_comes_and_goes() -> None:
    made, course = plan(_group(), [], [_line(9)], Course(), START)
    assert made.ask.workers == 3
    made, course = plan(_group(), [], [_line(1)], course, START + SECOND)
    assert made.ask.workers == 3
    made, course = plan(_group(), [], [_line(9)], course, START + 2 * SECOND)
    made, course = plan(_group(), [], [_line(1)], course, START + HOLD)
    assert made.ask.workers == 3, "the line was long in between"
    made, course = plan(_group(), [], [_line(1)], course, START + 2 * HOLD)
    assert made.ask.workers == 1


def test_an_ask_is_taken_back_when_nothing_needs_it_any_more() -> None:
    _, course = plan(_group(), [], [_line(9)], Course(), START)
    _, course = plan(_group(), [], [], course, START + SECOND)
    made, _ = plan(_group(), [], [], course, START + SECOND + HOLD)
    assert (made.ask.workers, made.growth.since) == (0, None)


def test_a_machine_that_comes_is_asked_for_no_more() -> None:
    _, course = plan(_group(), [], [_line(8)], Course(), START)
    come = _worker(starting=True, up=False)
    made, course = plan(_group(), [come], [_line(8)], course, START + 60 * SECOND)
    assert (made.growth.wanted, made.growth.starting, made.growth.since) == (1, 1, START + 60 * SECOND)
    made, course = plan(_group(), [_worker(used=4)], [_line(4)], course, START + 61 * SECOND)
    assert (made.growth.wanted, made.growth.starting, made.growth.since) == (1, 0, START + 60 * SECOND)


def test_a_worker_that_leaves_by_itself_is_not_missed_without_need() -> None:
    _, course = plan(_group(), [_worker("a"), _worker("b")], [], Course(), START)
    made, _ = plan(_group(), [_worker("a")], [], course, START + SECOND)
    assert made.ask.machines == 0


def test_an_ask_that_nobody_answers_is_told_once() -> None:
    _, course = plan(_group(), [], [_line(1)], Course(), START)
    made, course = plan(_group(), [], [_line(1)], course, START + OVERDUE - SECOND)
    assert (made.growth.overdue, made.is_news) == (False, False)
    made, course = plan(_group(), [], [_line(1)], course, START + OVERDUE)
    assert (made.growth.overdue, made.is_news, made.growth.since) == (True, True, START)
    made, course = plan(_group(), [], [_line(1)], course, START + OVERDUE + SECOND)
    assert (made.growth.overdue, made.is_news) == (True, False)


# --- shrinking


def _idle_for(group: WorkerGroup, members: Sequence[Member], length: timedelta, *lines: Line) -> Plan:
    _, course = plan(group, members, lines, Course(), START)
    return plan(group, members, lines, course, START + length)[0]


def test_a_worker_ends_once_it_has_been_idle_long_enough() -> None:
    assert _idle_for(_group(), [_worker()], IDLE - SECOND).ends == ()
    assert _idle_for(_group(), [_worker()], IDLE).ends == ("w",)
    assert _idle_for(_group(idleTimeout="PT1S"), [_worker()], SECOND).ends == ("w",)


@pytest.mark.parametrize(
    "worker",
    [
        _worker(used=1),
        _worker(others=1),
        _worker(may_go=False),
        _worker(up=False),
        _worker(up=False, starting=True),
    ],
)
def test_a_worker_that_holds_a_run_or_cannot_go_is_left_alone(worker: Member) -> None:
    assert _idle_for(_group(), [worker], 2 * IDLE).ends == ()


def test_a_worker_that_was_used_between_two_looks_begins_anew() -> None:
    _, course = plan(_group(), [_worker(taken=1)], [], Course(), START)
    made, course = plan(_group(), [_worker(taken=2)], [], course, START + IDLE)
    assert made.ends == ()
    made, course = plan(_group(), [_worker(taken=2)], [], course, START + 2 * IDLE)
    assert made.ends == ("w",)


def test_min_workers_stay_and_those_idle_longest_go() -> None:
    early, late = [_worker("b"), _worker("c")], [_worker("a"), _worker("b"), _worker("c")]
    _, course = plan(_group(min=1), early, [], Course(), START)
    _, course = plan(_group(min=1), late, [], course, START + SECOND)
    assert plan(_group(min=1), late, [], course, START + IDLE + SECOND)[0].ends == ("b", "c")


def test_nobody_ends_while_something_waits_for_a_slot_or_comes() -> None:
    idle = _worker("idle")
    assert _idle_for(_group(), [idle], IDLE, _line(1)).ends == ()
    assert _idle_for(_group(), [idle, _worker("s", up=False, starting=True)], IDLE).ends == ()
    assert _idle_for(_group(min=2), [idle], IDLE).ends == ()


def test_a_run_that_waits_for_what_no_idle_machine_has_keeps_none_of_them() -> None:
    assert _idle_for(_group(), [_worker()], IDLE, _line(1, resources=GPU)).ends == ("w",)


@pytest.mark.parametrize(
    ("worker", "leaves"),
    [
        (_worker(up=False, drained=True), ("w",)),
        (_worker(up=False, drained=True, used=1), ()),
        (_worker(up=False, drained=True, others=1), ()),
        (_worker(up=False, drained=True, may_go=False), ()),
        (_worker(up=False), ()),
    ],
)
def test_a_worker_that_somebody_drained_leaves_once_it_holds_nothing(worker: Member, leaves: tuple[str, ...]) -> None:
    made = _settled(_group(min=1), [worker], _line(9))
    assert (made.leaves, made.ends) == (leaves, ())
    assert made.ask.workers == 2, "its machine counts until it is gone"


# --- which group


def test_a_line_that_several_groups_serve_makes_one_of_them_grow() -> None:
    groups = {"a": _group(key="a", max=1), "b": _group(key="b"), "fixed": WorkerGroup(key="fixed")}
    shared = Line(("fixed", "b", "a"), 5)
    assert own_lines([shared], groups, []) == {"a": [shared]}
    assert own_lines([shared], groups, [_worker(group="a")]) == {"b": [shared]}
    assert own_lines([Line(("fixed",), 5), Line(("unknown",), 5)], groups, []) == {}


# --- always

_COUNTS = st.integers(0, 9)
_GROUPS = st.builds(
    lambda low, more, slots: _group(min=low, max=low + more, slots=slots, idleTimeout="PT20S"),
    st.integers(0, 3),
    st.integers(0, 4),
    st.one_of(st.none(), st.integers(1, 5)),
)
_MEMBERS = st.builds(
    lambda used, others, taken, phase, may_go, gpus: _worker(
        used=used, others=others, taken=taken, up=phase == 0, starting=phase == 1, drained=phase == 2, may_go=may_go, resources={"GPU": float(gpus)}
    ),
    st.integers(0, 4),
    st.integers(0, 1),
    _COUNTS,
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 2),
)
_LINES = st.lists(st.one_of(st.builds(_line, _COUNTS), st.builds(lambda runs: _line(runs, resources=GPU), _COUNTS)), max_size=3)
_LOOKS = st.lists(st.tuples(st.lists(_MEMBERS, max_size=6), _LINES, st.integers(0, 30)), min_size=1, max_size=12)


@given(_GROUPS, _LOOKS)
def test_whatever_happens_max_and_min_hold_and_no_busy_worker_ends(group: WorkerGroup, looks: list[tuple[list[Member], list[Line], int]]) -> None:
    course, now = Course(), START
    for members, lines, seconds in looks:
        members = [replace(member, name=f"w{at}", machine=f"m{at}") for at, member in enumerate(members)]
        now += seconds * SECOND
        made, course = plan(group, members, lines, course, now)
        assert group.max is not None
        assert made.ask.machines <= max(0, group.max - len(members))
        by_name = {member.name: member for member in members}
        assert all(by_name[name].up and by_name[name].may_go and not by_name[name].used and not by_name[name].others for name in made.ends)
        serving = sum(member.up for member in members)
        assert serving - len(made.ends) >= min(serving, group.min)
        assert all(by_name[name].drained and not by_name[name].used and not by_name[name].others for name in made.leaves)
        assert not (made.ends and made.ask.workers)


class _Provider:
    """A cloud that brings every machine after a while, and a group that works off what it is given."""

    def __init__(self, group: WorkerGroup, slots: int, delay: int) -> None:
        self.group, self.slots, self.delay = group, slots, delay
        self.course, self.now, self.serial = Course(), START, 0
        self.coming: list[int] = []  # looks until each arrives
        self.workers: dict[str, int] = {}  # used

    def look(self, load: int) -> Plan:
        """One second with `load` runs that want a slot; those without one stand in line."""
        self.now += SECOND
        self.coming = [looks - 1 for looks in self.coming]
        for _ in range(sum(looks == 0 for looks in self.coming)):
            self.serial += 1
            self.workers[f"w{self.serial}"] = 0
        self.coming = [looks for looks in self.coming if looks]
        left = load
        for name in self.workers:
            self.workers[name] = min(self.slots, left)
            left -= self.workers[name]
        members = [_worker(name, slots=self.slots, used=used) for name, used in self.workers.items()]
        made, self.course = plan(self.group, members, [_line(left)], self.course, self.now)
        for name in made.ends:
            del self.workers[name]
        more = made.ask.workers - len(self.coming)
        self.coming = [*self.coming, *[self.delay] * more] if more > 0 else self.coming[: made.ask.workers]
        return made


@given(_GROUPS, st.integers(1, 5), st.integers(1, 20), st.integers(0, 40))
def test_a_steady_load_finds_its_workers_and_then_nothing_moves(group: WorkerGroup, slots: int, delay: int, load: int) -> None:
    assert group.max is not None
    provider = _Provider(group, group.slots or slots, delay)
    for _ in range(30 + 25 * group.max):
        provider.look(load)
    enough = min(group.max, max(group.min, -(-load // provider.slots)))
    assert len(provider.workers) == enough
    for _ in range(60):
        made = provider.look(load)
        assert (made.ask.machines, made.ends) == (0, ())
    for _ in range(60):
        provider.look(0)
    assert len(provider.workers) == group.min
