"""Jobs on a runner of the tests' own: saved before made, adopted, stopped at every step, removed at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.errors import JobRejected, RunnerUnavailable
from orchestrator.model.stock import Stock, StockAsk
from orchestrator.runtime.supervisor import Supervisor
from orchestrator.sdk import Found, Job, JobExit, JobHandle, JobTools, LogSink, PhaseName, RunContext, Task, TaskFailed, TaskRunner, job_key
from tests.unit.runtime.worker_house import PATIENCE, House

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Site:
    """Where the jobs of a test are: what was done, and where to stop for a while."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.made: set[str] = set()
        self.at: dict[str, threading.Event] = {}  # a step waits for its event, unless the job is stopped
        self.reached = threading.Condition()
        self.failing: dict[str, Exception] = {}
        self.hook: Callable[[str], None] = lambda step: None
        self.stopped = threading.Event()

    def step(self, name: str) -> None:
        with self.reached:
            self.done.append(name)
            self.reached.notify_all()
        self.hook(name)
        if name in self.failing:
            raise self.failing[name]
        if name in self.at:
            self.at[name].wait(PATIENCE)

    def until(self, name: str) -> None:
        with self.reached:
            assert self.reached.wait_for(lambda: name in self.done, PATIENCE), self.done


class Rented(TaskRunner):
    type: str = "test.Rented"
    site: ClassVar[Site]

    def prepare(self, job: Job) -> JobHandle:
        self.site.step("prepare")
        return JobHandle(key=job.key, runner=self.type, backend="here")

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        self.site.step("start")
        if not tools.cancelled():
            self.site.made.add(job.key)
        return handle.model_copy(update={"details": {"container": "c1"}})

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        self.site.step("wait")
        for offset, text in enumerate(("one", "two")):
            logs.line(text, stderr=False, offset=offset, at=AT)
        return JobExit(code=0)

    def collect(self, job: Job, handle: JobHandle) -> None:
        self.site.step("collect")

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        self.site.step("stop")
        for event in self.site.at.values():
            event.set()
        self.site.made.discard(handle.key)

    def remove(self, handle: JobHandle) -> None:
        self.site.step("remove")
        self.site.made.discard(handle.key)

    def ls(self, installation: str) -> list[Found]:
        return [Found(key=key, kind="job", name=key, state="RUNNING") for key in self.site.made]

    def reap(self, installation: str, live: Callable[[str], bool]) -> list[str]:
        gone = [key for key in self.site.made if not live(key)]
        self.site.made.difference_update(gone)
        return gone


class Script(Task):
    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        class Says:
            def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
                ctx.logger.info(text)

        ctx.logger.debug("before")
        job = Job(key=job_key(ctx.info), argv=("x",), working_dir=str(ctx.working_dir()))
        ended = ctx.run_job(ctx.runner({"type": "test.Rented"}), job, Says())
        if ended.code:
            raise TaskFailed("failed", exit_code=ended.code)
        return {"code": ended.code}


@pytest.fixture
def site() -> Site:
    Rented.site = Site()
    return Rented.site


@pytest.fixture
def house(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    own: type[Rented] = type("Rented", (Rented,), {"site": site})  # a thread of an earlier test that is late goes on with its own site
    monkeypatch.setattr("orchestrator.runtime.context.built_runner", lambda properties: own.model_validate(properties))
    made = House(tmp_path, {"test.Script": Script}, kind=Supervisor, slots=0)
    yield made
    for event in site.at.values():
        event.set()
    made.worker.close()


def test_a_job_is_saved_before_it_is_made_and_removed_after_its_outcome_is(house: House, site: Site) -> None:
    house.run({"type": "test.Script"})
    house.executor.outcome()
    site.until("remove")
    assert site.done == ["prepare", "start", "wait", "collect", "remove"]
    kinds = [one["kind"] for one in house.executor.reports]
    assert kinds.index("job") < kinds.index("outcome")
    handles = [one["handle"]["details"] for one in house.executor.of("job")]
    assert handles == [{"lease": 1}, {"lease": 1, "container": "c1"}]


def test_a_job_is_not_made_while_its_handle_is_not_saved(house: House, site: Site) -> None:
    house.executor.away = True
    house.run({"type": "test.Script"})
    house.executor.until(lambda: house.executor.tries > 2)
    assert site.done == ["prepare"]
    house.executor.away = False
    house.executor.outcome()


def test_a_run_stopped_while_its_handle_waits_to_be_saved_makes_nothing(house: House, site: Site) -> None:
    house.executor.away = True
    house.run({"type": "test.Script"})
    site.until("prepare")
    house.stop()
    house.executor.until(lambda: house.executor.tries > 4)
    house.executor.away = False
    assert house.executor.outcome()["state"] == "KILLED"
    assert "start" not in site.done


def test_a_job_is_not_removed_while_its_outcome_is_not_saved(house: House, site: Site) -> None:
    def away(step: str) -> None:
        if step == "collect":
            house.executor.away = True

    site.hook = away
    house.run({"type": "test.Script"})
    site.until("collect")
    tries = house.executor.tries
    house.executor.until(lambda: house.executor.tries > tries + 2)
    assert "remove" not in site.done
    house.executor.away = False
    site.until("remove")


def test_a_saved_handle_is_adopted_and_its_lines_keep_their_offsets(house: House, site: Site) -> None:
    house.run({"type": "test.Script"}, lease=1)
    key = house.executor.until(lambda: house.executor.of("job"))[0]["handle"]["key"]
    house.executor.outcome()
    first = [(line["offset"], line["at"]) for said in house.executor.of("said") for line in said["lines"] if line["message"] in ("one", "two")]
    site.until("remove")
    site.done.clear()
    house.executor.reports.clear()
    handle = {"key": key, "runner": "test.Rented", "backend": "here", "details": {"lease": 1, "container": "c1"}}
    house.until_idle()
    house.run({"type": "test.Script"}, lease=2, job=handle)
    house.executor.outcome()
    second = [(line["offset"], line["at"]) for said in house.executor.of("said") for line in said["lines"] if line["message"] in ("one", "two")]
    assert first == second == [((1 << 40) + number * 4096, "2026-01-01T00:00:00.000Z") for number in range(2)]
    assert "prepare" not in site.done
    own = [line["offset"] for said in house.executor.of("said") for line in said["lines"] if line["message"] == "before"]
    assert own == [(2 << 40) + (1 << 39)]


@pytest.mark.parametrize(("cause", "state"), [("KILLED", "KILLED"), ("TIMEOUT", "FAILED")])
@pytest.mark.parametrize("step", ["start", "wait", "collect"])
def test_a_kill_or_timeout_at_any_step_leaves_nothing_and_is_seen_gone_before_it_is_told(house: House, site: Site, step: str, cause: str, state: str) -> None:
    site.at[step] = threading.Event()
    house.run({"type": "test.Script"})
    site.until(step)
    house.stop(cause=cause)
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"]) == (state, cause)
    assert site.made == set()
    assert site.done[-1] == "remove"


def test_killed_is_not_told_while_the_back_end_does_not_answer_the_stop(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run({"type": "test.Script"})
    site.until("wait")
    site.failing["stop"] = RunnerUnavailable("no answer")
    house.stop()
    site.until("stop")
    site.at["wait"].set()
    with site.reached:
        assert site.reached.wait_for(lambda: site.done.count("stop") >= 3, PATIENCE)
    assert house.executor.of("outcome") == []
    del site.failing["stop"]
    assert house.executor.outcome()["state"] == "KILLED"
    assert site.made == set()


@pytest.mark.parametrize(("error", "cause"), [(JobRejected("no such image"), "START_FAILED"), (RunnerUnavailable("away"), "START_FAILED")])
def test_a_start_that_fails_is_told_as_such_and_removed(house: House, site: Site, error: Exception, cause: str) -> None:
    site.failing["start"] = error
    house.run({"type": "test.Script"})
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"], outcome["error"]) == ("FAILED", cause, str(error))
    site.until("remove")


def test_a_timeout_stops_the_job_and_fails(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run({"type": "test.Script"}, timeout=0.1)
    assert house.executor.outcome()["cause"] == "TIMEOUT"
    assert site.made == set()


def test_more_jobs_than_a_worker_has_slots_are_watched_at_once(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    for number in range(40):
        house.run({"type": "test.Script"}, f"r{number}")
    with site.reached:
        assert site.reached.wait_for(lambda: site.done.count("wait") == 40, PATIENCE)
    site.at["wait"].set()
    for number in range(40):
        house.executor.outcome(f"r{number}")


def test_a_supervisor_that_closes_leaves_its_jobs_running(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run({"type": "test.Script"})
    site.until("wait")
    house.worker.close()
    assert len(site.made) == 1
    assert "stop" not in site.done


def test_the_reaper_removes_jobs_and_folders_that_are_doomed(house: House, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.backends._of_this_machine", lambda: [Rented(type="test.Rented")])
    for key in ("dead", "live"):
        (tmp_path / "work" / key).mkdir(parents=True)
        site.made.add(key)
    seen = Stock.model_validate_json(house.worker.stock("{}"))
    assert sorted(seen.folders) == sorted(one.found.key for one in seen.stocked) == ["dead", "live"]
    assert Stock.model_validate_json(house.worker.stock(StockAsk(doomed=("dead",)).model_dump_json())).removed == ("dead",)
    assert site.made == {"live"}
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["live"]


def test_the_stages_of_a_job_are_reported(house: House) -> None:
    assert PhaseName.FILES_OUT.value == "files_out"
    house.run({"type": "test.Script"})
    house.executor.outcome()
    assert [one["name"] for one in house.executor.of("phase")] == ["running", "files_out"]


def test_a_job_that_is_handed_back_is_taken_away_and_its_handle_forgotten_before_that_is_told(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run({"type": "test.Script"})
    site.until("wait")
    house.worker.hand_back()
    assert house.executor.outcome()["cause"] == "WORKER_SHUTDOWN"
    assert (site.made, site.done[-1]) == (set(), "remove")
    kinds = [(one["kind"], one.get("handle", "")) for one in house.executor.reports]
    assert kinds.index(("job", None)) < kinds.index(("outcome", ""))


def test_a_supervisor_that_hands_over_leaves_its_jobs_and_their_handles_for_the_next(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run({"type": "test.Script"})
    site.until("wait")
    assert isinstance(house.worker, Supervisor)
    house.worker.hand_over()
    assert house.executor.outcome()["cause"] == "WORKER_SHUTDOWN"
    assert (len(site.made), "stop" in site.done, "remove" in site.done) == (1, False, False)
    assert None not in [one["handle"] for one in house.executor.of("job")]
    site.at["wait"].set()  # it ends while its supervisor is on its way out
    site.until("collect")
    house.run({"type": "test.Script"}, run="r2")
    assert house.executor.outcome("r2")["cause"] == "WORKER_SHUTDOWN"
    assert (len(house.executor.of("outcome", "r1")), "remove" in site.done) == (1, False)


def test_a_killed_jobs_handle_is_kept(house: House, site: Site) -> None:
    site.at["wait"] = threading.Event()
    house.run({"type": "test.Script"})
    site.until("wait")
    house.stop()
    house.executor.outcome()
    assert None not in [one["handle"] for one in house.executor.of("job")]
