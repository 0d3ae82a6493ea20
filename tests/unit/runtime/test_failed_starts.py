"""Jobs whose place cannot begin their command: given back whole, told with the reason, and bounded in time."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.errors import RunnerUnavailable, StartFailed
from orchestrator.runtime import job_run
from orchestrator.runtime.supervisor import Supervisor
from orchestrator.sdk import Job, JobExit, JobHandle, JobTools, Json, LogSink, PhaseName, Spot
from tests.unit.runtime.test_job_run import Rented, Script, Site
from tests.unit.runtime.worker_house import House

SCRIPT = {"type": "test.Script"}


class Cloud(Rented):
    """Says itself when the command begins, asks for spot capacity, and notes what it was asked."""

    tells_running: ClassVar[bool] = True
    began: ClassVar[threading.Event]
    attempts: ClassVar[list[int]]
    spot: Spot | None = None
    wait_until_running: timedelta | None = None

    def price_key(self, job: Job) -> Mapping[str, Json] | None:
        return {"service": "test"}

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        self.attempts.append(job.attempt)
        started = super().start(job, handle, tools)
        tools.phase(PhaseName.PROVISIONING, "RUNNABLE")
        if self.began.is_set():
            tools.phase(PhaseName.RUNNING)
        return started

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        ended = super().wait(handle, logs)
        return ended if handle.key in self.site.made else JobExit(code=137)


@pytest.fixture
def site() -> Site:
    Rented.site = Site()
    Cloud.began, Cloud.attempts = threading.Event(), []
    return Rented.site


@pytest.fixture
def properties() -> dict[str, Any]:
    return {}


@pytest.fixture
def house(tmp_path: Path, site: Site, properties: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("orchestrator.runtime.context.built_runner", lambda given: Cloud(type="test.Rented", **properties))
    made = House(tmp_path, {"test.Script": Script}, kind=Supervisor, slots=0)
    yield made
    for event in site.at.values():
        event.set()
    made.worker.close()


@pytest.mark.parametrize("step", ["start", "wait"])
def test_a_failed_start_is_told_once_nothing_of_it_is_left(house: House, site: Site, step: str) -> None:
    site.failing[step] = StartFailed("no capacity in eu-west-1", "CAPACITY")
    house.run(SCRIPT)
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"], outcome["error"]) == ("FAILED", "START_FAILED", "no capacity in eu-west-1")
    assert outcome["failed_start"] == {"kind": "CAPACITY", "climbs": False}
    assert (site.made, site.done[-2:]) == (set(), ["stop", "remove"])


def test_who_gets_a_run_whose_failed_start_is_being_taken_away_finds_a_handle_of_nothing_made(house: House, site: Site) -> None:
    site.failing["wait"] = StartFailed("reclaimed", "RECLAIMED")
    house.run(SCRIPT)
    house.executor.outcome()
    assert [sorted(one["handle"]["details"]) for one in house.executor.of("job")] == [["lease", "price"], ["container", "lease", "price"], ["lease", "price"]]
    assert [one["kind"] for one in house.executor.reports if one["kind"] in ("job", "outcome")][-2:] == ["job", "outcome"]


def test_a_place_that_cannot_say_that_nothing_is_left_is_not_asked_to_start_again(house: House, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_run, "SURELY", 0.3)
    site.failing.update(start=StartFailed("the answer was lost", "LOST"), stop=RunnerUnavailable("nobody answers"))
    house.run(SCRIPT)
    outcome = house.executor.outcome()
    assert (outcome["cause"], outcome.get("failed_start")) == ("START_FAILED", None)
    assert "cannot be told: nobody answers" in outcome["error"]


@pytest.mark.parametrize("properties", [{"spot": Spot(attempts=2)}])
@pytest.mark.parametrize(("failures", "climbs"), [(0, True), (1, True), (2, False)])
def test_a_spot_ladder_says_whether_a_rung_is_left(house: House, site: Site, failures: int, climbs: bool) -> None:
    site.failing["start"] = StartFailed("reclaimed", "RECLAIMED")
    house.run(SCRIPT, start_failures=failures)
    assert house.executor.outcome()["failed_start"] == {"kind": "RECLAIMED", "climbs": climbs}
    assert Cloud.attempts == [failures]


@pytest.mark.parametrize("properties", [{"wait_until_running": timedelta(milliseconds=200)}])
def test_a_command_that_does_not_begin_within_its_bound_is_stopped_and_told_with_the_last_stage(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run(SCRIPT)
    outcome = house.executor.outcome()
    assert outcome["failed_start"]["kind"] == "BOUND"
    assert outcome["error"] == "the command did not begin within PT0.2S (waitUntilRunning); the last that was heard: RUNNABLE"
    assert (site.made, site.done[-1]) == (set(), "remove")


@pytest.mark.parametrize("properties", [{"wait_until_running": timedelta(milliseconds=200)}])
def test_the_bound_holds_no_longer_once_the_command_has_begun(house: House, site: Site) -> None:
    Cloud.began.set()
    site.at["wait"] = gate = threading.Event()
    threading.Timer(0.6, gate.set).start()
    house.run(SCRIPT)
    assert house.executor.outcome()["state"] == "SUCCESS"
    assert [one["name"] for one in house.executor.of("phase")] == ["provisioning", "running", "files_out"]


@pytest.mark.parametrize("properties", [{"wait_until_running": timedelta(seconds=30)}])
def test_a_workers_own_clock_stands_while_a_place_gets_ready(house: House, site: Site) -> None:
    site.at["wait"] = gate = threading.Event()
    threading.Timer(0.8, gate.set).start()
    house.run(SCRIPT, timeout=0.3)
    assert house.executor.outcome()["state"] == "SUCCESS"


def test_a_workers_own_clock_counts_from_the_commands_beginning(house: House, site: Site) -> None:
    Cloud.began.set()
    site.at["wait"] = threading.Event()
    house.run(SCRIPT, timeout=0.3)
    assert house.executor.outcome()["cause"] == "TIMEOUT"


def test_a_place_that_does_not_answer_for_a_moment_is_asked_again_to_start(house: House, site: Site) -> None:
    site.failing["start"] = RunnerUnavailable("restarting")

    def comes_back(step: str) -> None:
        if site.done.count("start") == 3:
            site.failing.clear()

    site.hook = comes_back
    house.run(SCRIPT)
    assert house.executor.outcome()["state"] == "SUCCESS"
    assert site.done.count("start") == 3


def test_what_a_job_is_priced_by_is_saved_with_its_handle(house: House) -> None:
    house.run(SCRIPT)
    house.executor.outcome()
    assert [one["handle"]["details"]["price"] for one in house.executor.of("job")] == [{"service": "test"}] * 2
