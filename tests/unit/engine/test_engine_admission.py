"""Who goes next of those that wait for one worker group."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.admission import Waiting, WaitingLine

START = datetime(2026, 1, 1, tzinfo=UTC)


def _waiting(name: str, *, age: int = 0, namespace: str = "n") -> Waiting:
    return Waiting(name, f"e{age}", namespace, START - timedelta(seconds=age))


def _line(*waiting: Waiting) -> WaitingLine:
    line = WaitingLine()
    for one in waiting:
        line.put(one)
    return line


def _taken(line: WaitingLine) -> list[str]:
    return [line.next().task_run_id for _ in range(len(line))]


def test_the_older_execution_goes_first() -> None:
    assert _taken(_line(_waiting("young"), _waiting("old", age=9), _waiting("older", age=10))) == ["older", "old", "young"]


def test_among_equals_namespaces_take_turns() -> None:
    flood = [_waiting(f"a{i}", namespace="a") for i in range(3)]
    assert _taken(_line(*flood, _waiting("b0", namespace="b"), _waiting("b1", namespace="b"))) == ["a0", "b0", "a1", "b1", "a2"]


def test_first_come_first_served_otherwise() -> None:
    assert _taken(_line(*(_waiting(str(i)) for i in range(5)))) == list("01234")


def test_who_left_is_not_taken_and_may_come_again() -> None:
    line = _line(_waiting("a"), _waiting("b"))
    line.remove("a")
    line.remove("nobody")
    line.put(_waiting("a"))
    line.put(_waiting("a"))
    assert (len(line), _taken(line)) == (2, ["b", "a"])


def test_an_empty_line_has_no_next() -> None:
    with pytest.raises(IndexError):
        WaitingLine().next()


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("ab")), max_size=30))
def test_everyone_is_taken_once_and_none_before_an_older_one(drawn: list[tuple[int, str]]) -> None:
    taken = []
    line = _line(*(_waiting(str(i), age=age, namespace=namespace) for i, (age, namespace) in enumerate(drawn)))
    while len(line):
        taken.append(line.next())
    assert sorted(one.task_run_id for one in taken) == sorted(str(i) for i in range(len(drawn)))
    assert [one.since for one in taken] == sorted(one.since for one in taken)


def test_a_long_line_costs_little_more_per_run_than_a_short_one() -> None:
    def cost(count: int) -> float:
        began = process_time()
        _taken(_line(*(_waiting(str(i), age=i % 7, namespace=str(i % 5)) for i in range(count))))
        return (process_time() - began) / count

    assert cost(50_000) < 8 * min(cost(2_000) for _ in range(3))
