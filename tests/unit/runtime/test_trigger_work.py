"""A worker that evaluates triggers: beside its slots, told as gone only once it is, each emit in its turn."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.sdk import PollingTrigger, RealtimeTrigger, RunContext
from tests.unit.runtime.worker_house import PATIENCE, House

RUN = "trigger:acme.team/flow/t"
LOG = {"type": "io.kestra.plugin.core.log.Log", "message": "done"}


class Look(PollingTrigger):
    """Does what `how` says."""

    how: str = "nothing"
    began: ClassVar[threading.Semaphore]
    go: ClassVar[threading.Event]

    def evaluate(self, ctx: RunContext) -> Mapping[str, Any] | None:
        self.began.release()
        match self.how:
            case "deaf":
                self.go.wait(PATIENCE)
            case "waits":
                ctx.on_stop(self.go.set)
                self.go.wait(PATIENCE)
            case "keeps":
                ctx.files.put(io.BytesIO(b"rows"), "rows.csv")
            case "keeps and fails":
                ctx.files.put(io.BytesIO(b"rows"), "rows.csv")
                raise ValueError("no rows")
            case "keeps and finds":
                return {"uri": ctx.files.put(io.BytesIO(b"rows"), "rows.csv")}
            case "secret":
                raise ValueError("it was " + ctx.render("{{ secret('a') }}"))
            case "finds":
                return {"flow": ctx.render("{{ flow.id }}"), "me": ctx.info.task_id}
        return None


class Listen(RealtimeTrigger):
    emits: int = 3
    ended: ClassVar[threading.Event]
    stopped: ClassVar[list[str]]

    def listen(self, ctx: RunContext, emit: Callable[[Mapping[str, Any]], None]) -> None:
        told, never = threading.Event(), threading.Event()
        ctx.on_stop(told.set)
        try:
            threads = [threading.Thread(target=emit, args=({"n": number},)) for number in range(self.emits)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            while not told.wait(0.05) and not never.is_set():
                pass
        except Exception as err:
            self.stopped.append(type(err).__name__)
            raise
        finally:
            self.ended.set()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    Look.began, Look.go, Listen.ended, Listen.stopped = threading.Semaphore(0), threading.Event(), threading.Event(), []
    made = House(tmp_path, slots=1, triggers={"test.Look": Look, "test.Listen": Listen})
    yield made
    Look.go.set()
    made.worker.close()


def evaluate(house: House, kind: str = "poll", lease: int = 1, run: str = RUN, **more: Any) -> None:
    spec = {"id": "t", "type": "test.Look" if kind == "poll" else "test.Listen", **more.pop("spec", {})}
    house.run(spec, run, kind=kind, lease=lease, generation=lease, task_id="t", **more)


def begun() -> None:
    assert Look.began.acquire(timeout=PATIENCE)


def test_a_look_that_finds_something_gives_its_variables(house: House) -> None:
    evaluate(house, spec={"how": "finds"}, context={"flow": {"id": "flow"}})
    outcome = house.executor.outcome(RUN)
    assert (outcome["state"], outcome["outputs"]) == ("SUCCESS", {"variables": {"flow": "flow", "me": "t"}})


def test_a_look_that_finds_nothing_gives_none(house: House) -> None:
    evaluate(house)
    assert house.executor.outcome(RUN)["outputs"] == {}


@pytest.mark.parametrize(("how", "kept"), [("keeps", 0), ("keeps and fails", 0), ("keeps and finds", 1)])
def test_what_a_look_keeps_stays_only_where_it_has_found_something(house: House, how: str, kept: int) -> None:
    evaluate(house, spec={"how": how})
    house.executor.outcome(RUN)
    assert len(house.services.local_files.stored) == kept


def test_an_error_is_told_without_the_secrets_in_it(house: House) -> None:
    house.services.secrets["a"] = "s3cret"
    evaluate(house, spec={"how": "secret"}, context={"flow": {"namespace": "acme.team"}})
    assert house.executor.outcome(RUN)["state"] == "FAILED"
    assert [message for level, message in house.executor.lines(RUN) if level == "ERROR"] == ["ValueError: it was ********"]


def test_looks_and_listeners_take_no_slot(house: House) -> None:
    evaluate(house, "listen", run=RUN + "1")
    evaluate(house, run=RUN + "2", spec={"how": "waits"})
    begun()
    house.run(LOG)
    assert house.executor.outcome()["state"] == "SUCCESS"


def test_a_look_that_is_stopped_is_told_by_its_cause(house: House) -> None:
    evaluate(house, spec={"how": "waits"})
    begun()
    house.stop(RUN, cause="KILLED")
    assert house.executor.outcome(RUN)["state"] == "KILLED"


def test_a_look_has_a_clock_of_its_own(house: House) -> None:
    evaluate(house, spec={"how": "waits"}, timeout=0.2)
    outcome = house.executor.outcome(RUN)
    assert (outcome["cause"], outcome["error"]) == ("TIMEOUT", "The evaluation has outlasted its timeout of PT0.2S")


def test_a_look_that_does_not_listen_is_told_as_gone_only_once_it_is(house: House) -> None:
    evaluate(house, spec={"how": "deaf"})
    begun()
    house.stop(RUN)
    assert not Look.go.wait(1.5)
    assert house.executor.of("outcome", RUN) == []
    Look.go.set()
    assert house.executor.outcome(RUN)["state"] == "KILLED"


def test_a_newer_evaluation_begins_once_the_older_has_ended(house: House) -> None:
    evaluate(house, spec={"how": "waits"})
    begun()
    evaluate(house, lease=2, spec={"how": "finds"}, context={"flow": {"id": "x"}})
    house.executor.until(lambda: len(house.executor.of("outcome", RUN)) == 2)
    assert [(one["lease"], one["state"]) for one in house.executor.of("outcome", RUN)] == [(1, "KILLED"), (2, "SUCCESS")]


def test_an_evaluation_that_has_ended_does_not_begin_again(house: House) -> None:
    evaluate(house)
    house.executor.outcome(RUN)
    house.until_idle()
    evaluate(house)
    house.executor.until(lambda: len(house.executor.of("outcome", RUN)) == 2)
    assert [one["state"] for one in house.executor.of("outcome", RUN)] == ["SUCCESS", "KILLED"]
    assert len(house.executor.of("received", RUN)) == 1
    evaluate(house, lease=2)
    house.executor.until(lambda: len(house.executor.of("received", RUN)) == 2)


def test_emits_are_numbered_in_the_order_in_which_they_are_told_whatever_thread_they_come_from(house: House) -> None:
    evaluate(house, "listen", spec={"emits": 50})
    house.executor.until(lambda: len(house.executor.of("emitted", RUN)) == 50)
    told = house.executor.of("emitted", RUN)
    assert [one["number"] for one in told] == list(range(1, 51))
    assert sorted(one["variables"]["n"] for one in told) == list(range(50))


def test_an_emit_returns_once_it_is_saved(house: House) -> None:
    house.executor.away = True
    evaluate(house, "listen", spec={"emits": 1})
    house.executor.until(lambda: house.executor.tries > 1)
    house.stop(RUN)
    assert not Listen.ended.wait(0.2)
    house.executor.away = False
    assert house.executor.outcome(RUN)["state"] == "KILLED"
    assert Listen.stopped == []


def test_a_worker_that_drains_hands_back_listeners_and_lets_looks_end(house: House) -> None:
    evaluate(house, "listen", run=RUN + "1")
    evaluate(house, run=RUN + "2", spec={"how": "deaf"})
    begun()
    house.worker.drain()
    assert house.executor.outcome(RUN + "1")["cause"] == "WORKER_SHUTDOWN"
    assert house.executor.of("outcome", RUN + "2") == []
    Look.go.set()
    assert house.executor.outcome(RUN + "2")["state"] == "SUCCESS"
    evaluate(house, lease=9)
    assert house.executor.outcome(RUN)["cause"] == "WORKER_SHUTDOWN"


def test_what_is_held_tells_evaluations_too(house: House) -> None:
    evaluate(house, lease=7, spec={"how": "waits"})
    begun()
    assert house.held() == [(RUN, 7)]


def test_a_type_that_no_worker_evaluates_fails_clearly(house: House) -> None:
    house.run({"type": "io.kestra.plugin.core.trigger.Flow"}, RUN, kind="poll")
    outcome = house.executor.outcome(RUN)
    assert (outcome["state"], outcome["error"]) == ("FAILED", "io.kestra.plugin.core.trigger.Flow is not a trigger that a worker can evaluate")
