"""A stop holds at every moment, and so does every other early end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.errors import JobRejected, StartFailed
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.runner import Processes, TaskRunner
from orchestrator.sdk.runner_contract.site import NOW, SOON, Finish, Heard, MakeJob, RunnerSite, StoppingTools, Waiting, another, finished


class StopsContract(RunnerSite):
    """Stops, and ends that nobody asked for."""

    def test_a_stop_ends_a_running_job_and_may_come_twice(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo up; sleep 600 & wait")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        runner.stop(handle, timedelta(seconds=1))
        runner.stop(handle, NOW)
        assert waiting.exit().code in (130, 137, 143)
        runner.stop(handle, NOW)
        runner.remove(handle)
        runner.remove(handle)

    def test_a_job_that_does_not_listen_is_forced(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("trap '' TERM INT HUP; echo up; while true; do sleep 0.1; done")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        runner.stop(handle, timedelta(seconds=0.5))
        assert waiting.exit().code == 137
        runner.remove(handle)

    def test_a_job_that_is_cancelled_before_it_starts_never_runs(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo ran > proof.txt; sleep 600", output_files=("proof.txt",))
        handle = runner.prepare(made)
        tools.stopped = True
        runner.stop(handle, NOW)
        handle = runner.start(made, handle, tools)
        assert runner.wait(handle, Heard()).code != 0
        runner.remove(handle)
        assert not Path(made.working_dir, "proof.txt").exists()

    def test_a_stop_at_any_moment_of_the_start_ends_the_job(self, runner: TaskRunner, processes: Processes, job: MakeJob) -> None:
        at, is_told = 0, True
        while is_told:
            made, fresh = job("echo up; sleep 600"), another(runner)
            handle = fresh.prepare(made)
            tools = StoppingTools(processes, at=at, stop=lambda fresh=fresh, handle=handle: fresh.stop(handle, NOW))  # type: ignore[misc]
            handle = fresh.start(made, handle, tools)
            is_told = tools.stopped
            if not is_told:
                fresh.stop(handle, NOW)
            assert Waiting(fresh, handle).exit().code != 0, f"stopped at look {at}, after {tools.phases}"
            tools.join()
            fresh.remove(handle)
            at += 1
        assert at > 1

    def test_a_stop_before_anything_was_made_is_a_success(self, runner: TaskRunner, job: MakeJob) -> None:
        handle = runner.prepare(job("true"))
        runner.stop(handle, NOW)
        runner.remove(handle)

    def test_a_program_that_is_not_there_is_told(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("").model_copy(update={"argv": ("/no/such/program",)})
        try:
            assert finished(runner, made, tools)[0].code in (126, 127)
        except (JobRejected, StartFailed) as err:
            assert "/no/such/program" in str(err)  # noqa: PT017 - either way is fine

    def test_an_image_that_is_nowhere_is_told_by_its_name(self, job: MakeJob, finish: Finish, missing_image: str | None) -> None:
        if missing_image is None:
            pytest.skip("this runner uses no images")
        with pytest.raises((JobRejected, StartFailed), match=missing_image.replace(".", r"\.")):
            finish(job("true", image=missing_image))

    def test_running_out_of_memory_is_told(self, bounded_runner: TaskRunner | None, tools: FakeTools, job: MakeJob) -> None:
        if bounded_runner is None:
            pytest.skip("this runner knows no bound of memory")
        ended, _ = finished(bounded_runner, job("x=a; while true; do x=$x$x$x; done"), tools)
        assert (ended.code, ended.oom_killed) == (137, True)
        assert "memory" in str(ended.reason)
