"""Who goes next of those that wait for one worker group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import process_time

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.admission import Waiting, WaitingLine

START = datetime(2026, 1, 1, tzinfo=UTC)


def _waiting(name: str, *, age: int = 0, namespace: str = "n", at_work: bool = False) -> Waiting:
    return Waiting(name, f"e{age}", namespace, START - timedelta(seconds=age), at_work)


def _line(*waiting: Waiting) -> WaitingLine:
    line = WaitingLine()
    for one in waiting:
        line.put(one)
    return line


def _next(line: WaitingLine, may: Callable[[str], bool] = lambda namespace: True) -> Waiting | None:
    head = line.first(may)
    if head is None:
        return None
    line.take(head[1])
    return head[1]


def _taken(line: WaitingLine) -> list[str]:
    return [one.task_run_id for _ in range(len(line)) if (one := _next(line)) is not None]


def test_the_older_execution_goes_first() -> None:
    assert _taken(_line(_waiting("young"), _waiting("old", age=9), _waiting("older", age=10))) == ["older", "old", "young"]
    work = [_waiting(name, age=age, at_work=True, namespace=namespace) for name, age, namespace in (("young", 0, "a"), ("old", 9, "b"), ("older", 10, "a"))]
    assert _taken(_line(*work)) == ["older", "old", "young"]


def test_executions_at_work_go_before_those_that_have_not_begun() -> None:
    flood = [_waiting(f"new{i}", age=99) for i in range(3)]
    assert _taken(_line(*flood, _waiting("at work", age=1, at_work=True)))[0] == "at work"


def test_namespaces_take_turns_among_executions_that_have_not_begun() -> None:
    flood = [_waiting(f"a{i}", age=9 - i, namespace="a") for i in range(4)]
    assert _taken(_line(*flood, _waiting("b0", namespace="b"), _waiting("b1", namespace="b"))) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_a_namespace_that_comes_late_neither_waits_behind_a_backlog_nor_catches_up() -> None:
    line = _line(*(_waiting(f"a{i}", age=99 - i, namespace="a") for i in range(10)))
    assert [_next(line) is not None for _ in range(5)] == [True] * 5
    for i in range(3):
        line.put(_waiting(f"b{i}", namespace="b"))
    assert _taken(line) == ["b0", "a5", "b1", "a6", "b2", "a7", "a8", "a9"]


def test_first_come_first_served_otherwise() -> None:
    assert _taken(_line(*(_waiting(str(i)) for i in range(5)))) == list("01234")


def test_a_namespace_that_may_not_is_passed_over_and_keeps_its_place() -> None:
    line = _line(_waiting("a", age=9, namespace="a"), _waiting("b", namespace="b"))
    assert _next(line, lambda namespace: namespace != "a") == _waiting("b", namespace="b")
    assert _next(line, lambda namespace: namespace != "a") is None
    assert _taken(line) == ["a"]


def test_who_left_is_not_taken_and_may_come_again() -> None:
    line = _line(_waiting("a"), _waiting("b"))
    line.remove("a")
    line.remove("nobody")
    line.put(_waiting("a"))
    line.put(_waiting("a"))
    assert (len(line), _taken(line)) == (2, ["b", "a"])


def test_a_line_knows_who_waits_since_when_and_behind_how_many() -> None:
    line = WaitingLine()
    for i in range(3):
        line.put(_waiting(str(i), namespace=f"n{i}"), START + timedelta(seconds=i))
    line.remove("0")
    assert (line.oldest(), line.ahead_of("2"), sorted(line.namespaces())) == (START + timedelta(seconds=1), 1, ["n1", "n2"])


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab"), st.booleans()), max_size=30))
def test_everyone_is_taken_once_those_at_work_first_and_none_of_them_before_an_older_one(drawn: list[tuple[int, str, bool]]) -> None:
    taken = []
    line = _line(*(_waiting(str(i), age=age, namespace=namespace, at_work=work) for i, (age, namespace, work) in enumerate(drawn)))
    while (one := _next(line)) is not None:
        taken.append(one)
    assert sorted(one.task_run_id for one in taken) == sorted(str(i) for i in range(len(drawn)))
    assert [one.at_work for one in taken] == sorted((one.at_work for one in taken), reverse=True)
    at_work = [one.since for one in taken if one.at_work]
    assert at_work == sorted(at_work)
    for namespace in "ab":
        new = [one.since for one in taken if not one.at_work and one.namespace == namespace]
        assert new == sorted(new)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_no_namespace_is_more_than_one_turn_ahead_of_another_that_waits(drawn: list[str]) -> None:
    line = _line(*(_waiting(str(i), namespace=namespace) for i, namespace in enumerate(drawn)))
    left, had = Counter(drawn), Counter[str]()
    while (one := _next(line)) is not None:
        left[one.namespace] -= 1
        had[one.namespace] += 1
        assert all(had[one.namespace] <= had[name] + 1 for name in left if left[name])


def test_a_long_line_costs_little_more_per_run_than_a_short_one() -> None:
    def cost(count: int) -> float:
        began = process_time()
        _taken(_line(*(_waiting(str(i), age=i % 7, namespace=str(i % 5)) for i in range(count))))
        return (process_time() - began) / count

    assert cost(50_000) < 8 * min(cost(2_000) for _ in range(3))
