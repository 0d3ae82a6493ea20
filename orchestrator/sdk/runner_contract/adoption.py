"""A job is one job, whoever starts it again, watches it on, or looks for what is left."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import JobLost
from orchestrator.model.job import Job, JobHandle
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.runner import TaskRunner
from orchestrator.sdk.runner_contract.site import NOW, SOON, Heard, MakeJob, RunnerSite, Waiting, another


def can_be_found_again(runner: TaskRunner) -> None:
    """Passes over a test of what this runner declares not to do."""
    if not runner.reattaches:
        pytest.skip("this runner declares that it cannot be re-attached")


def _start(runner: TaskRunner, job: Job, handle: JobHandle, tools: FakeTools, handles: list[JobHandle]) -> None:
    handles.append(runner.start(job, handle, tools))


class AdoptionContract(RunnerSite):
    """Starting twice, going on from a saved handle, and finding by label."""

    def test_starting_twice_runs_once(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo once; echo x >> count.txt; cat count.txt", output_files=("count.txt",))
        prepared = runner.prepare(made)
        second = another(runner) if runner.reattaches else runner
        first_handle = runner.start(made, prepared, tools)
        handle = second.start(made, prepared, tools)
        heard = Heard()
        assert second.wait(handle, heard).code == 0
        second.remove(handle)
        assert (first_handle, heard.texts) == (handle, ["once", "x"])

    def test_two_that_start_it_at_the_same_moment_run_it_once(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        can_be_found_again(runner)
        made = job("echo once; sleep 1")
        prepared, handles = runner.prepare(made), list[JobHandle]()
        starts = [threading.Thread(target=_start, args=(another(runner), made, prepared, tools, handles)) for _ in range(3)]
        for start in starts:
            start.start()
        for start in starts:
            start.join(SOON)
        heard = Heard()
        assert len(handles) == 3
        assert runner.wait(handles[0], heard).code == 0
        runner.remove(handles[0])
        assert (handles, heard.texts) == ([handles[0]] * 3, ["once"])

    def test_an_ended_job_is_adopted_too(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        can_be_found_again(runner)
        made = job("echo only; exit 5")
        prepared = runner.prepare(made)
        assert runner.wait(runner.start(made, prepared, tools), Heard()).code == 5
        second, heard = another(runner), Heard()
        handle = second.start(made, prepared, tools)
        assert (second.wait(handle, heard).code, heard.texts) == (5, ["only"])
        second.remove(handle)

    def test_a_saved_handle_is_enough_to_go_on(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo before; while [ ! -e stop ]; do sleep 0.1; echo x > made.txt; [ -s made.txt ] && break; done; echo after; exit 3")
        made = made.model_copy(update={"output_files": ("made.txt",)})
        saved = runner.start(made, runner.prepare(made), tools).model_dump_json()
        handle, fresh, heard = JobHandle.model_validate_json(saved), another(runner), Heard()
        if not runner.reattaches:
            with pytest.raises(JobLost):
                fresh.wait(handle, heard)
            runner.wait(handle, Heard())
            return runner.remove(handle)
        assert fresh.wait(handle, heard).code == 3
        fresh.collect(made, handle)
        fresh.remove(handle)
        assert (heard.texts, heard.offsets) == (["before", "after"], [0, 1])
        assert Path(made.working_dir, "made.txt").read_text() == "x\n"

    def test_a_saved_handle_is_enough_to_stop(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        can_be_found_again(runner)
        made = job("echo up; sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        assert waiting.heard.some.wait(SOON)
        another(runner).stop(JobHandle.model_validate_json(handle.model_dump_json()), NOW)
        assert waiting.exit().code in (137, 143)
        another(runner).remove(handle)

    def test_the_prepared_handle_is_enough_to_stop(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        can_be_found_again(runner)
        made = job("echo up; sleep 600")
        prepared = runner.prepare(made)
        waiting = Waiting(runner, runner.start(made, prepared, tools))
        assert waiting.heard.some.wait(SOON)
        another(runner).stop(prepared, NOW)
        assert waiting.exit().code in (137, 143)
        another(runner).remove(prepared)

    def test_the_log_reads_the_same_again(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        can_be_found_again(runner)
        made = job("i=0; while [ $i -lt 300 ]; do echo $i; echo e$i >&2; i=$((i+1)); done; printf end")
        handle = runner.start(made, runner.prepare(made), tools)
        first, second = Heard(), Heard()
        runner.wait(handle, first)
        another(runner).wait(handle, second)
        runner.remove(handle)
        assert (first.lines, first.offsets) == (second.lines, second.offsets)
        assert len(first.lines) == 601

    def test_two_jobs_do_not_meet(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        second = another(runner)
        made, other = job("sleep 600"), job("echo mine")
        handle, second_handle = runner.start(made, runner.prepare(made), tools), second.start(other, second.prepare(other), tools)
        heard = Heard()
        assert second.wait(second_handle, heard).code == 0
        second.remove(second_handle)
        runner.stop(handle, NOW)
        runner.remove(handle)
        assert heard.texts == ["mine"]

    def test_a_job_that_is_gone_is_told_as_lost(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        runner.remove(handle)
        with pytest.raises(JobLost):
            another(runner).wait(handle, Heard())

    def test_what_is_out_there_is_listed_and_what_nobody_owns_is_reaped(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        if not (hasattr(runner, "reap") and hasattr(runner, "ls")):
            pytest.skip("this runner finds nothing by label")
        mine, orphan = job("sleep 600"), job("sleep 600")
        for made in (mine, orphan):
            one = another(runner)
            one.start(made, one.prepare(made), tools)
        looking: Any = another(runner)
        installation = mine.labels["installation"]
        assert {mine.key, orphan.key} <= {found.key for found in looking.ls(installation)}
        assert looking.ls("another-installation") == []
        assert looking.reap("another-installation", lambda key: False) == []
        assert looking.reap(installation, lambda key: key == mine.key)
        assert {found.key for found in looking.ls(installation)} == {mine.key}
        assert looking.reap(installation, lambda key: False)
        assert looking.ls(installation) == []
