"""The reporter: order, batches, repetition, bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.model.dispatch import REPORTS, Outcome, Said, SaidLine
from orchestrator.model.log import Level
from orchestrator.runtime.reporter import FULL, MOST_LINES, Reporter, as_json
from tests.unit.runtime.worker_house import Executor

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def executor() -> Executor:
    return Executor()


@pytest.fixture
def reporter(executor: Executor) -> Iterator[Reporter]:
    made = Reporter(executor.send)
    yield made
    made.close(0)


def head(run: str = "r1", lease: int = 1) -> dict[str, Any]:
    return {"task_run_id": run, "execution_id": "e1", "lease": lease}


def report(kind: str, run: str = "r1", **facts: Any) -> dict[str, Any]:
    return {**head(run), "at": AT, "kind": kind, **facts}


def line(offset: int, message: str = "x") -> SaidLine:
    return SaidLine(at=datetime.now(UTC), level=Level.INFO, message=message, offset=offset)


def test_what_is_sent_is_what_the_executor_reads(executor: Executor, reporter: Reporter) -> None:
    texts: list[str] = []
    other = Reporter(texts.append)
    other.say(head(), line(1, "näh"), None)
    other.say(head(), None, {"type": "counter", "name": "n", "value": 1, "tags": {}, "timestamp": AT})
    other.put(report("outcome", state="SUCCESS", outputs={"a": 1}))
    assert other.close(10)
    said, outcome = REPORTS.validate_json(texts[0])
    assert isinstance(said, Said)
    assert isinstance(outcome, Outcome)
    assert (said.lines[0].message, said.metrics[0]["name"], outcome.outputs) == ("näh", "n", {"a": 1})


def test_received_and_a_quick_outcome_travel_in_one_call(executor: Executor, reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.reporter.SMALL_DELAY", 60.0)  # what follows later than that cannot
    reporter.put(report("received"), soon=True)
    reporter.put(report("outcome", state="SUCCESS"))
    executor.until(lambda: executor.of("outcome"))
    assert [one["kind"] for one in executor.batches[0]] == ["received", "outcome"]


def test_received_leaves_alone_when_nothing_follows(executor: Executor, reporter: Reporter) -> None:
    began = time.monotonic()
    reporter.put(report("received"), soon=True)
    executor.until(lambda: executor.of("received"))
    assert 0.005 < time.monotonic() - began < 5


def test_the_order_of_a_run_is_kept(executor: Executor, reporter: Reporter) -> None:
    reporter.say(head(), line(1))
    reporter.put(report("phase", name="running"), soon=True)
    reporter.say(head(), line(2))
    reporter.put(report("outcome", state="SUCCESS"))
    executor.until(lambda: executor.of("outcome"))
    assert [(one["kind"], [said["offset"] for said in one.get("lines", ())]) for one in executor.reports] == [
        ("said", [1]),
        ("phase", []),
        ("said", [2]),
        ("outcome", []),
    ]


@pytest.mark.alone
def test_lines_share_a_report_and_leave_within_100_ms(executor: Executor, reporter: Reporter) -> None:
    began = time.monotonic()
    for offset in range(10):
        reporter.say(head(), line(offset))
    executor.until(lambda: executor.of("said"))
    assert time.monotonic() - began < 1
    assert [said["offset"] for said in executor.of("said")[0]["lines"]] == list(range(10))


def test_a_thousand_lines_do_not_wait(executor: Executor, reporter: Reporter) -> None:
    for offset in range(FULL):
        reporter.say(head(), line(offset))
    executor.until(lambda: sum(len(said["lines"]) for said in executor.of("said")) == FULL)


def test_a_report_is_repeated_until_it_is_taken_and_once_only(executor: Executor, reporter: Reporter) -> None:
    executor.away = True
    ticket = reporter.put(report("outcome", state="SUCCESS"))
    executor.until(lambda: executor.tries >= 3)
    assert not ticket.wait(0)
    executor.away = False
    assert ticket.wait(20)
    assert len(executor.of("outcome")) == 1


def test_who_waits_for_a_report_is_told_when_it_is_saved(executor: Executor, reporter: Reporter) -> None:
    told = threading.Event()
    reporter.put(report("outcome", state="SUCCESS"), then=told.set)
    assert told.wait(20)


def test_a_writer_waits_while_too_many_lines_are_on_their_way(executor: Executor, reporter: Reporter) -> None:
    executor.away = True
    written = threading.Semaphore(0)

    def write() -> None:
        for offset in range(MOST_LINES + 10):
            reporter.say(head(), line(offset))
            written.release()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    for _ in range(MOST_LINES):
        assert written.acquire(timeout=20)
    assert not written.acquire(timeout=0.2)
    executor.away = False
    writer.join(20)
    assert not writer.is_alive()
    executor.until(lambda: sum(len(said["lines"]) for said in executor.of("said")) == MOST_LINES + 10)


def test_lines_of_two_leases_do_not_share_a_report(executor: Executor, reporter: Reporter) -> None:
    reporter.say(head(lease=1), line(1))
    reporter.say(head(lease=2), line(2))
    executor.until(lambda: len(executor.of("said")) == 2)
    assert [said["lease"] for said in executor.of("said")] == [1, 2]


@pytest.mark.parametrize("value", ["\ud800", float("inf"), {1: "a"}, {("a", 1): 2}, datetime.now(UTC), {"a"}, b"x"])
def test_any_value_becomes_json_that_can_be_read(value: Any) -> None:
    REPORTS.validate_json("[" + as_json(report("outcome", state="SUCCESS", outputs={"v": value})) + "]")
