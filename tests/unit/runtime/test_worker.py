"""A worker: what becomes of dispatches and stops."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.errors import Unavailable
from orchestrator.runtime.local_services import LocalKeys
from orchestrator.sdk import Dynamic, Level, RunContext, Task, TaskFailed, Text, Warned
from tests.unit.runtime.worker_house import House, dispatch

LOG = "io.kestra.plugin.core.log.Log"
RETURN = "io.kestra.plugin.core.debug.Return"


class Held(Task):
    """Waits until the test lets it go, or it is stopped."""

    began: ClassVar[threading.Semaphore]
    go: ClassVar[threading.Event]
    runs: ClassVar[list[str]]

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        type(self).runs.append(ctx.info.task_run_id)
        ctx.on_stop(self.go.set)
        self.began.release()
        self.go.wait(20)
        return {"value": "late"}


class Deaf(Held):
    """Does not listen when it is stopped."""

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        self.began.release()
        self.go.wait(20)
        return {"value": "late"}


class Ends(Task):
    how: str
    secret: Dynamic[Text] | None = None

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        match self.how:
            case "warned":
                raise Warned("look out", {"a": 1})
            case "failed":
                raise TaskFailed("no luck", outputs={"seen": 1}, exit_code=3)
            case "oom":
                raise TaskFailed("too big", exit_code=137, cause="OOM")
            case "bug":
                raise KeyError("x")
            case "tells":
                raise TaskFailed(f"it was {ctx.render(self.secret)}")
            case "labels":
                ctx.set_labels({"team": "blue"})
            case "metric":
                ctx.metric("timer", "t", 1.5, {"a": "b"})
            case "odd":
                return {"value": threading.Lock()}
        return {}


class Chatty(Task):
    count: int

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        for number in range(self.count):
            ctx.logger.log(list(Level)[number % 5], f"line {number}")
        return {}


TASKS: dict[str, type[Task]] = {"test.Held": Held, "test.Deaf": Deaf, "test.Ends": Ends, "test.Chatty": Chatty}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    Held.began, Held.go, Held.runs = threading.Semaphore(0), threading.Event(), []
    made = House(tmp_path, TASKS, slots=2, log_limit=50)
    yield made
    Held.go.set()
    made.worker.close()


def begun(count: int = 1) -> None:
    for _ in range(count):
        assert Held.began.acquire(timeout=20)


def test_a_log_task_logs_and_succeeds(house: House) -> None:
    house.run({"type": LOG, "message": "Hello {{ inputs.name }}", "level": "WARN"}, context={"inputs": {"name": "you"}})
    assert house.executor.outcome()["state"] == "SUCCESS"
    assert house.executor.lines() == [("WARN", "Hello you")]
    assert [one["kind"] for one in house.executor.reports] == ["received", "said", "outcome"]
    assert house.executor.reports[0]["worker"] == "worker"


def test_a_return_task_gives_its_value_and_metrics(house: House) -> None:
    house.run({"type": RETURN, "format": "{{ 1 + 2 }}"})
    assert house.executor.outcome()["outputs"] == {"value": "3"}
    assert {metric["name"] for said in house.executor.of("said") for metric in said["metrics"]} == {"length", "duration"}


def test_an_expression_that_fails_fails_the_run_with_its_cause_and_a_line(house: House) -> None:
    house.run({"type": LOG, "message": "{{ inputs.nope }}"}, context={"inputs": {}})
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"]) == ("FAILED", "EXPRESSION")
    assert house.executor.lines() == [("ERROR", outcome["error"])]


@pytest.mark.parametrize(
    ("how", "state", "cause", "outputs"),
    [("warned", "WARNING", None, {"a": 1}), ("failed", "FAILED", "EXIT_CODE", {"seen": 1}), ("oom", "FAILED", "OOM", {}), ("bug", "FAILED", "EXCEPTION", {})],
)
def test_every_end_has_its_state_and_cause(house: House, how: str, state: str, cause: str | None, outputs: dict[str, Any]) -> None:
    house.run({"type": "test.Ends", "how": how})
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome.get("cause"), outcome["outputs"]) == (state, cause, outputs)


def test_a_task_that_is_not_installed_or_does_not_fit_fails_with_the_reason(house: House) -> None:
    house.run({"type": "test.Unknown"}, "r1")
    house.run({"type": LOG, "message": "x", "level": "LOUD"}, "r2")
    assert "not installed" in house.executor.outcome("r1")["error"]
    assert "level" in house.executor.outcome("r2")["error"]


def test_outputs_that_are_no_json_fail_the_run(house: House) -> None:
    house.run({"type": "test.Ends", "how": "odd"})
    assert house.executor.outcome()["state"] == "FAILED"


def test_labels_come_with_the_outcome_and_timers_in_milliseconds(house: House) -> None:
    house.run({"type": "test.Ends", "how": "labels"}, "r1")
    house.run({"type": "test.Ends", "how": "metric"}, "r2")
    assert house.executor.outcome("r1")["labels"] == {"team": "blue"}
    house.executor.outcome("r2")
    assert [(m["type"], m["value"], m["tags"]) for m in house.executor.of("said", "r2")[0]["metrics"]] == [("timer", 1500.0, {"a": "b"})]


def test_a_secret_is_masked_in_logs_and_errors(house: House) -> None:
    house.services.secrets["KEY"] = "hunter2!"
    house.run({"type": "test.Ends", "how": "tells", "secret": "{{ secret('KEY') }}"}, context={"flow": {"namespace": "acme"}})
    outcome = house.executor.outcome()
    assert outcome["error"] == "it was ********"
    assert "hunter2" not in json.dumps(house.executor.reports)


def test_lines_below_the_threshold_are_not_sent(house: House) -> None:
    house.run({"type": "test.Chatty", "count": 5}, log_level="WARN")
    house.executor.outcome()
    assert [level for level, _ in house.executor.lines()] == ["WARN", "ERROR"]


def test_offsets_rise_from_the_lease(house: House) -> None:
    house.run({"type": "test.Chatty", "count": 3}, lease=7)
    house.executor.outcome()
    assert house.executor.offsets() == [(7 << 40) + (1 << 39) + number for number in range(3)]


def test_a_run_that_says_too_much_is_cut_off_with_one_warning(house: House) -> None:
    house.run({"type": "test.Chatty", "count": 200})
    house.executor.outcome()
    lines = house.executor.lines()
    assert (len(lines), lines[-1][0]) == (50, "WARN")
    assert "limit of 50" in lines[-1][1]


def test_a_dispatch_that_comes_twice_is_done_once(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    house.run({"type": "test.Held"})
    Held.go.set()
    house.executor.outcome()
    house.worker.run(dispatch({"type": LOG, "message": "after"}, "r2"))
    house.executor.outcome("r2")
    assert Held.runs == ["r1"]


def test_a_newer_lease_of_the_same_work_goes_on_with_it(house: House) -> None:
    house.run({"type": "test.Held"}, lease=1)
    begun()
    house.run({"type": "test.Held"}, lease=2)
    assert house.held() == [("r1", 2)]
    Held.go.set()
    assert house.executor.outcome()["lease"] == 2
    assert Held.runs == ["r1"]


def test_a_retry_of_a_held_run_stops_it_and_begins_anew(house: House) -> None:
    house.run({"type": "test.Held"}, lease=1)
    begun()
    house.run({"type": RETURN, "format": "again"}, lease=2, generation=1)
    house.executor.until(lambda: [one for one in house.executor.of("outcome") if one["lease"] == 2])
    assert [(one["lease"], one["state"]) for one in house.executor.of("outcome")] == [(1, "KILLED"), (2, "SUCCESS")]


def test_a_stopped_run_ends_killed(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    house.stop()
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"], outcome.get("outputs")) == ("KILLED", "KILLED", None)


def test_a_run_that_outlasts_its_timeout_fails_by_itself(house: House) -> None:
    house.run({"type": "test.Held"}, timeout=0.05)
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"]) == ("FAILED", "TIMEOUT")
    assert "PT0.05S" in outcome["error"]


def test_a_stop_for_a_timeout_fails_the_run_with_that_cause(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    house.stop(cause="TIMEOUT")
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"]) == ("FAILED", "TIMEOUT")


def test_a_run_that_does_not_listen_is_killed_only_once_it_has_ended_and_its_slot_is_made_good(house: House) -> None:
    for number in range(2):
        house.run({"type": "test.Deaf"}, f"deaf{number}")
    begun(2)
    for number in range(2):
        house.stop(f"deaf{number}")
    for number in range(2):
        ((level, message),) = house.executor.until(partial(house.executor.lines, f"deaf{number}"))
        assert (level, "goes on" in message) == ("WARN", True)
    house.run({"type": LOG, "message": "still here"}, "next")
    assert house.executor.outcome("next")["state"] == "SUCCESS"
    assert (house.executor.of("outcome", "deaf0"), ("deaf0", 1) in house.held()) == ([], True)
    Held.go.set()
    for number in range(2):
        house.executor.outcome(f"deaf{number}")
        assert [one["state"] for one in house.executor.of("outcome", f"deaf{number}")] == ["KILLED"]


def test_a_run_that_does_not_listen_to_its_timeout_fails_once_it_has_ended(house: House) -> None:
    house.run({"type": "test.Deaf"}, timeout=0.05)
    begun()
    house.executor.until(lambda: any("goes on" in message for _, message in house.executor.lines()))
    assert house.executor.of("outcome") == []
    Held.go.set()
    assert house.executor.outcome()["cause"] == "TIMEOUT"


class NoAnswer(LocalKeys):
    """A key-value store behind an API that does not answer, until it is given up."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.interrupted = threading.Event(), threading.Event()

    def get(self, namespace: str, key: str) -> Any:
        self.asked.set()
        assert self.interrupted.wait(20)
        raise Unavailable("the run was stopped")


@pytest.mark.alone
def test_a_stopped_run_that_waits_for_the_api_ends_within_a_second(house: House) -> None:
    keys = NoAnswer()
    house.services.keys = keys
    house.services.interrupt = keys.interrupted.set  # type: ignore[method-assign]
    house.run({"type": "io.kestra.plugin.core.kv.Get", "key": "k"})
    assert keys.asked.wait(20)
    began = time.monotonic()
    house.stop()
    assert house.executor.outcome()["state"] == "KILLED"
    assert 0.4 < time.monotonic() - began < 1.0  # a moment is left to keep how far it came
    assert house.executor.lines() == []


def test_a_stopped_run_that_waits_for_a_slot_never_begins(house: House) -> None:
    for run in ("a", "b", "c"):
        house.run({"type": "test.Held"}, run)
    begun(2)
    house.stop("c")
    assert house.executor.outcome("c")["state"] == "KILLED"
    Held.go.set()
    house.executor.outcome("a")
    house.executor.outcome("b")
    house.run({"type": LOG, "message": "after"}, "d")
    house.executor.outcome("d")
    assert sorted(Held.runs) == ["a", "b"]


def test_a_stop_before_its_run_is_answered_and_the_run_never_starts(house: House) -> None:
    house.stop("early", lease=3)
    first = house.executor.outcome("early")
    assert (first["state"], first["lease"], first["execution_id"]) == ("KILLED", 3, "e1")
    house.run({"type": "test.Held"}, "early", lease=3)
    house.executor.until(lambda: len(house.executor.of("outcome", "early")) == 2)
    assert (Held.runs, house.held()) == ([], [])


def test_a_stop_does_not_reach_a_later_dispatch(house: House) -> None:
    house.stop("r1", lease=1)
    house.run({"type": LOG, "message": "again"}, lease=2)
    house.executor.until(lambda: [one for one in house.executor.of("outcome") if one["state"] == "SUCCESS"])


def test_an_outcome_is_held_until_it_is_saved(house: House) -> None:
    house.executor.away = True
    house.run({"type": LOG, "message": "x"})
    house.executor.until(lambda: house.executor.tries >= 2)
    assert house.held() == [("r1", 1)]
    house.executor.away = False
    house.executor.outcome()
    house.run({"type": LOG, "message": "y"}, "r2")
    house.executor.outcome("r2")
    assert ("r1", 1) not in house.held()


def test_an_inventory_tells_who_and_what(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    found = json.loads(house.worker.inventory())
    assert (found["worker"], found["slots"], found["held"]) == ("worker", 2, [{"task_run_id": "r1", "lease": 1}])


def test_a_draining_worker_hands_new_work_back_and_ends_what_it_has(house: House) -> None:
    house.run({"type": "test.Held"}, "old")
    begun()
    house.worker.drain()
    house.run({"type": LOG, "message": "x"}, "new")
    assert house.executor.outcome("new")["cause"] == "WORKER_SHUTDOWN"
    Held.go.set()
    assert house.executor.outcome("old")["state"] == "SUCCESS"


def test_a_closing_worker_hands_back_what_runs(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    house.worker.close()
    assert house.executor.outcome()["cause"] == "WORKER_SHUTDOWN"


def test_run_to_end_returns_when_the_outcome_is_on_its_way(house: House) -> None:
    house.worker.run_to_end(dispatch({"type": RETURN, "format": "x"}))
    assert house.executor.outcome()["state"] == "SUCCESS"


def test_a_list_of_dispatches_is_done_whole(house: House) -> None:
    house.worker.run("[" + ",".join(dispatch({"type": RETURN, "format": str(n)}, f"r{n}") for n in range(20)) + "]")
    assert [house.executor.outcome(f"r{n}")["outputs"]["value"] for n in range(20)] == [str(n) for n in range(20)]


def test_a_worker_that_drains_lets_what_runs_go_on_and_hands_back_what_comes(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    house.worker.drain()
    house.run({"type": RETURN, "format": "new"}, "r2")
    assert (house.executor.outcome("r2")["cause"], house.held()) == ("WORKER_SHUTDOWN", [("r1", 1)])
    Held.go.set()
    assert house.executor.outcome()["state"] == "SUCCESS"


def test_a_worker_that_hands_back_stops_what_runs_and_takes_nothing_more(house: House) -> None:
    house.run({"type": "test.Held"})
    begun()
    house.worker.hand_back()
    house.worker.hand_back()
    assert (house.executor.outcome()["state"], house.executor.outcome()["cause"]) == ("FAILED", "WORKER_SHUTDOWN")
    house.run({"type": RETURN, "format": "new"}, "r2")
    assert house.executor.outcome("r2")["cause"] == "WORKER_SHUTDOWN"
    house.until_idle()
    assert len(house.executor.of("outcome", "r1")) == 1
