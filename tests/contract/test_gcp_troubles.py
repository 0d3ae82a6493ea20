"""What becomes of a job when Google's services are slow, full, wrong or away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sdk import Job, JobHandle, StartFailed
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.testing import NOW, Heard, Waiting, another, until
from orchestrator_plugins.gcp import runner as gcp_runner
from orchestrator_plugins.gcp.emulator import Emulator
from orchestrator_plugins.gcp.runner import Batch
from tests.contract.docker_images import docker
from tests.contract.gcp_site import IMAGE, an_emulator, google, objects, on_machines

pytestmark = pytest.mark.docker
MakeJob = Callable[..., Job]
INSTALLATION = "troubles"


@pytest.fixture(scope="module")
def house() -> Iterator[Emulator]:
    with an_emulator() as made:
        yield made


@pytest.fixture
def emulator(house: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """One that is asked again soon, and has nothing left afterwards."""
    monkeypatch.setattr(gcp_runner, "PAUSE", 0.05)
    yield house
    house.faults.forget()
    assert until(lambda: not [*house.jobs.present(), *objects(house), *on_machines(house)])


@pytest.fixture
def job(tmp_path: Path) -> MakeJob:
    names = iter(range(100))

    def make(text: str, **more: Any) -> Job:
        folder = tmp_path / f"work-{next(names)}"
        folder.mkdir()
        key = f"trouble-{abs(hash(str(folder))):020d}"[:40]
        labels = {"installation": INSTALLATION}
        return Job.model_validate({"key": key, "argv": ("/bin/sh", "-c", text), "working_dir": str(folder), "image": IMAGE, "labels": labels, **more})

    return make


def begun(runner: Batch, job: Job) -> JobHandle:
    return runner.start(job, runner.prepare(job), FakeTools())


def ran(runner: Batch, job: Job) -> Heard:
    """What a job says from its start to its removal."""
    handle, heard = begun(runner, job), Heard()
    try:
        runner.wait(handle, heard)
    finally:
        runner.stop(handle, NOW)
        runner.remove(handle)
    return heard


@pytest.mark.parametrize("kind", ["lose-answer", "unavailable", "throttle"])
def test_an_answer_that_is_lost_or_refused_makes_one_job(emulator: Emulator, job: MakeJob, kind: str) -> None:
    before = len(emulator.jobs.created)
    emulator.order(kind, method="CreateJob", times=2)
    assert ran(google(emulator), job("echo once")).texts == ["once"]
    assert len(emulator.jobs.created) == before + 1


def test_a_service_that_takes_no_more_fails_the_start(emulator: Emulator, job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gcp_runner, "LONGEST_PAUSE", 0.1)
    emulator.order("throttle", method="CreateJob", times=20)
    runner, made = google(emulator), job("true")
    with pytest.raises(StartFailed, match="Quota exceeded") as told:
        begun(runner, made)
    assert told.value.kind == "CAPACITY"
    runner.remove(runner.prepare(made))


@pytest.mark.parametrize("stage", ["queued", "scheduled"])
def test_a_job_that_never_runs_fails_at_its_bound_in_the_services_words(emulator: Emulator, job: MakeJob, stage: str) -> None:
    emulator.order(f"stuck-{stage}")
    with pytest.raises(StartFailed, match=rf"still {stage.upper()} after PT1S .*ZONE_RESOURCE_POOL_EXHAUSTED") as told:
        ran(google(emulator, waitUntilRunning="PT1S"), job("true"))
    assert told.value.kind == "BOUND"


@pytest.mark.parametrize("stage", ["queued", "scheduled"])
def test_a_job_is_stopped_in_every_stage_before_it_runs(emulator: Emulator, job: MakeJob, stage: str) -> None:
    emulator.order(f"stuck-{stage}")
    runner = google(emulator)
    handle = begun(runner, job("echo ran"))
    waiting = Waiting(runner, handle)
    assert until(lambda: emulator.faults.calls["ListJobs"] > 0)
    another(runner).stop(handle, NOW)
    assert (waiting.exit().code, waiting.heard.texts) == (137, [])
    runner.remove(handle)


def test_a_spot_machine_that_is_taken_back_is_a_failed_start(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("reclaim", seconds=1.0)
    runner, made = google(emulator, spot={"attempts": 1}), job("echo up; sleep 600")
    with pytest.raises(StartFailed, match=r"50001.*preempted") as told:
        ran(runner, made)
    assert (told.value.kind, runner.price_key(made)["spot"]) == ("RECLAIMED", True)
    second = job("echo up").model_copy(update={"attempt": 1})
    emulator.order("reclaim", seconds=0.0)
    assert (ran(runner, second).texts, runner.price_key(second)["spot"]) == (["up"], False)


def test_a_machine_that_no_longer_answers_is_a_failed_start(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("machine-lost", seconds=0.5)
    with pytest.raises(StartFailed, match=r"no longer answered.*50004") as told:
        ran(google(emulator), job("sleep 600"))
    assert told.value.kind == "LOST"


def test_an_image_that_is_not_there_is_a_failed_start(emulator: Emulator, job: MakeJob) -> None:
    with pytest.raises(StartFailed, match=r"exit code 125.*no/such") as told:
        ran(google(emulator), job("true", image="no/such:1"))
    assert told.value.kind == "IMAGE"


def test_a_slow_start_is_waited_for(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("slow-start", seconds=1.5)
    assert ran(google(emulator), job("echo up")).texts == ["up"]


def test_a_list_that_lacks_a_job_does_not_lose_it(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("empty-list", times=3)
    assert ran(google(emulator), job("echo up")).texts == ["up"]


def test_entries_that_come_late_are_told_once_and_in_order(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("delay-logs", times=5, seconds=1.0)
    lines = "for i in 1 2 3; do echo $i; done; sleep 1; echo 4"
    assert ran(google(emulator, waitForLogInterval="PT4S"), job(lines)).texts == ["1", "2", "3", "4"]


def test_one_late_entry_finds_its_place(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("late-log", seconds=0.6)
    lines = "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"
    heard = ran(google(emulator, waitForLogInterval="PT4S"), job(lines))
    assert (heard.texts, heard.offsets) == (["1", "2", "3", "4", "5"], [0, 1, 2, 3, 4])


def test_glued_lines_come_apart(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("glue-logs")
    lines = "i=0; while [ $i -lt 20 ]; do echo $i; i=$((i+1)); done; printf last"
    assert ran(google(emulator), job(lines)).texts == [*(str(i) for i in range(20)), "last"]


def test_without_the_wrappers_last_words_all_lines_arrive(emulator: Emulator, job: MakeJob) -> None:
    """The whole container is killed from outside: nothing can say that it has ended."""
    runner, made = google(emulator), job("echo up; printf last; sleep 600")
    handle = begun(runner, made)
    waiting = Waiting(runner, handle)
    assert waiting.heard.some.wait(20)
    docker("kill", *docker("ps", "-q", "--filter", f"label=kestra-job={made.key}").split())
    assert (waiting.exit().code, waiting.heard.texts) == (137, ["up", "last"])
    assert "SIGKILL" in str(waiting.exit().reason)
    runner.remove(handle)


def test_a_service_that_is_away_for_a_while_loses_nothing(emulator: Emulator, job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator_plugins.gcp import client

    monkeypatch.setattr(client, "READING", client.READING.with_timeout(0.01))
    runner = google(emulator)
    handle, heard = begun(runner, job("echo up; sleep 1; echo down; exit 3")), Heard()
    for method in ("ListJobs", "ListLogEntries", "ListTasks"):
        emulator.order("unavailable", method=method, times=2)
    assert (runner.wait(handle, heard).code, heard.texts) == (3, ["up", "down"])
    runner.remove(handle)


def test_files_that_cannot_be_unpacked_are_a_failed_start_with_the_reason(emulator: Emulator, job: MakeJob) -> None:
    runner, made = google(emulator), job("echo ran")
    Path(made.working_dir, "x").write_text("x")
    emulator.order("slow-start", seconds=1.0)
    handle = begun(runner, made)
    (emulator.storage.buckets.path("staging", f"{handle.details['prefix']}in.tar")).write_bytes(b"no tar at all" * 100)
    with pytest.raises(StartFailed, match=r"files could not be brought to the command.*tar"):
        runner.wait(handle, Heard())
    runner.remove(handle)


def test_the_service_runs_it_again_where_it_is_told_to(emulator: Emulator, job: MakeJob) -> None:
    made = job("echo try; exit 7")
    policies = [{"action": "RETRY_TASK", "exitCodes": [7]}]
    runner, heard = google(emulator, maxRetryCount=1, lifecyclePolicies=policies), Heard()
    handle = begun(runner, made)
    assert (runner.wait(handle, heard).code, heard.texts) == (7, ["try", "try"])
    runner.remove(handle)


@pytest.mark.long
def test_a_hundred_jobs_are_looked_at_by_one_call(emulator: Emulator, job: MakeJob) -> None:
    emulator.order("stuck-queued", times=100)
    runner = google(emulator, completionCheckInterval="PT1S")
    handles = [begun(google(emulator, completionCheckInterval="PT1S"), job("true")) for _ in range(100)]
    watching = [Waiting(runner, handle) for handle in handles]
    assert until(lambda: emulator.faults.calls["TailLogEntries"] >= 0 and threading.active_count() > 100)
    before, begin = emulator.faults.calls["ListJobs"], time.monotonic()
    assert until(lambda: emulator.faults.calls["ListJobs"] - before >= 4)
    seconds = time.monotonic() - begin
    assert (emulator.faults.calls["ListJobs"] - before) / seconds < 1.5
    for handle in handles:
        runner.remove(handle)
    for one in watching:
        one.join(20)
