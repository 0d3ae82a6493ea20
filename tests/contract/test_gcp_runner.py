"""Jobs of the Google Batch emulator keep the contract of task runners, and some promises of their own."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.sdk import Job, JobExit, JobLost, JobRejected, PhaseName, RunnerUnavailable, TaskFailed, TaskRunner, TimedOut
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.testing import NOW, SOON, Finish, Heard, MakeJob, RunnerContract, Waiting, another, finished, until
from orchestrator_plugins.gcp.emulator import Emulator
from tests.contract.docker_images import MadeHere, docker
from tests.contract.gcp_site import BUCKET, an_emulator, described, google, objects, on_machines

Using = Callable[..., tuple[JobExit, Heard]]

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with an_emulator() as made:
        yield made


class TestGoogleBatch(MadeHere, RunnerContract):
    many_lines: ClassVar[int] = 20_000  # `tests.soak.contract_in_full` reads them all
    exit_codes: ClassVar[Sequence[int]] = (0, 3, 127, 255)
    signals: ClassVar[Sequence[int]] = (9,)

    @pytest.fixture
    def runner(self, emulator: Emulator) -> TaskRunner:
        return google(emulator)

    @pytest.fixture
    def bounded_runner(self, emulator: Emulator) -> TaskRunner | None:
        return google(emulator, computeResource={"memory": "16"})

    @pytest.fixture(autouse=True)
    def _at(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def leftovers(self, run: str) -> Sequence[str]:
        jobs = [job for job in self._emulator.jobs.present() if f"-{run}-" in job]
        return [*on_machines(self._emulator, f"test-run={run}"), *jobs, *objects(self._emulator, f"contract-{run}/")]

    @pytest.fixture
    def using(self, tools: FakeTools, emulator: Emulator) -> Using:
        """Runs a job with given properties."""

        def run(job: Job, **properties: Any) -> tuple[JobExit, Heard]:
            return finished(google(emulator, **properties), job, tools)

        return run

    def test_the_exit_tells_the_job_and_the_phases_are_told(self, job: MakeJob, finish: Finish, tools: FakeTools) -> None:
        made = job("true")
        assert finish(made)[0].details["jobName"] == f"projects/p1/locations/europe-west1/jobs/{made.key}"
        assert [name for name, _ in tools.phases] == [PhaseName.PROVISIONING, PhaseName.RUNNING]

    def test_a_job_of_the_same_name_that_is_not_ours_is_never_adopted(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        other = made.model_copy(update={"labels": {**made.labels, "installation": "another"}})
        handle = runner.start(other, runner.prepare(other), tools)
        with pytest.raises(JobRejected, match="is not this run's"):
            another(runner).start(made, runner.prepare(made), tools)
        runner.remove(handle)

    def test_a_job_that_was_started_and_is_gone_is_never_made_again(self, runner: TaskRunner, tools: FakeTools, job: MakeJob, emulator: Emulator) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        runner.remove(handle)
        assert until(lambda: made.key not in emulator.jobs.present())
        with pytest.raises(JobLost, match="removed by someone else"):
            another(runner).start(made, handle, tools)

    def test_without_resume_a_run_begins_anew(self, emulator: Emulator, tools: FakeTools, job: MakeJob) -> None:
        made = job("echo once; [ -e /no ] || sleep 0")
        runner = google(emulator, resume=False)
        prepared = runner.prepare(made)
        first = runner.start(made, prepared, tools)
        second = another(runner).start(made, prepared, tools)
        assert first.details["uid"] != second.details["uid"]
        assert runner.wait(second, Heard()).code == 0
        runner.remove(second)

    def test_a_task_without_image_is_refused(self, runner: TaskRunner, job: MakeJob) -> None:
        with pytest.raises(JobRejected, match="set `containerImage`"):
            runner.prepare(job("true", image=None))

    def test_a_service_that_does_not_answer_is_told(self, tools: FakeTools, job: MakeJob, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        from orchestrator_plugins.gcp import client

        monkeypatch.setattr(client, "READING", client.READING.with_timeout(0.5))
        runner, made = google(emulator, endpointOverride="http://127.0.0.1:1"), job("true")
        with pytest.raises(RunnerUnavailable, match=r"Google Cloud \(p1, europe-west1\) does not answer"):
            runner.start(made, runner.prepare(made), tools)

    def test_a_command_that_runs_too_long_is_ended_by_the_service(self, job: MakeJob, using: Using) -> None:
        with pytest.raises(TimedOut, match="ran longer than it may"):
            using(job("sleep 600", timeout="PT2S"))

    def test_an_image_without_tar_is_enough(self, job: MakeJob, using: Using) -> None:
        """The command hides every program of its image from the wrapper; the shell's own words remain."""
        made = job("", argv=("/bin/sh", "-c", "echo $0 $PATH; echo x > out.txt"), env={"PATH": "/nowhere"}, output_files=("out.txt",))
        assert using(made)[0].code == 0
        assert Path(made.working_dir, "out.txt").read_text() == "x\n"

    def test_all_files_come_back_where_the_folder_is_kept_in_step(self, job: MakeJob, using: Using) -> None:
        made = job("mkdir deep; echo 1 > deep/a; echo 2 > .b")
        assert using(made, syncWorkingDirectory=True)[0].code == 0
        assert [Path(made.working_dir, name).read_text() for name in ("deep/a", ".b")] == ["1\n", "2\n"]

    def test_a_few_small_files_need_no_bucket(self, job: MakeJob, using: Using) -> None:
        made = job("cat 'ä b.txt'; ./run.sh; pwd")
        Path(made.working_dir, "ä b.txt").write_text("given\n")
        Path(made.working_dir, "run.sh").write_text("#!/bin/sh\necho ran\n")
        Path(made.working_dir, "run.sh").chmod(0o755)
        assert using(made, bucket=None)[1].texts == ["given", "ran", f"/{made.key}"]

    def test_without_a_bucket_what_needs_one_is_refused_before_anything_is_made(self, job: MakeJob, emulator: Emulator) -> None:
        runner, before = google(emulator, bucket=None), len(emulator.jobs.created)
        with pytest.raises(JobRejected, match=r"output files.*set the runner's `bucket`"):
            runner.prepare(job("true", output_files=("x",)))
        with pytest.raises(JobRejected, match=r"holds a secret.*set the runner's `bucket`"):
            runner.prepare(job("true", env={"TOKEN": "s3cret"}, secrets=("s3cret",)))
        with pytest.raises(JobRejected, match=r"longer than 8 KiB.*set the runner's `bucket`"):
            runner.prepare(job("true #" + "x" * 9000))
        made = job("true")
        Path(made.working_dir, "large").write_bytes(b"x" * 9000)
        with pytest.raises(JobRejected, match=r"more than 8 KiB.*set the runner's `bucket`"):
            runner.prepare(made)
        assert len(emulator.jobs.created) == before

    def test_no_secret_is_shown(self, runner: TaskRunner, tools: FakeTools, job: MakeJob, emulator: Emulator) -> None:
        secret = "s3c'ret $(x) \\ ä"
        text = f'echo up; while [ ! -e go ]; do sleep 0.1; test -z "$TOKEN" && exit 9; printf \'%s|%s|%s\' "$TOKEN" "$PLAIN" {shlex.quote(secret)} > x; '
        made = job(text + "touch go; done; test ! -e .script-command; exit 7", env={"TOKEN": secret, "PLAIN": "plain"}, secrets=(secret,), output_files=("x",))
        handle, heard = runner.start(made, runner.prepare(made), tools), Heard()
        waiting = Waiting(runner, handle)
        assert until(lambda: bool(docker("ps", "-q", "--filter", f"label=kestra-job={made.key}").split()))
        shown = docker("inspect", *docker("ps", "-aq", "--filter", f"label=kestra-job={made.key}").split())
        code, job_shown = waiting.exit().code, described(emulator, made.key)
        runner.collect(made, handle)
        assert runner.remove(handle) is None
        heard = waiting.heard
        assert (code, heard.texts) == (7, ["up"])
        assert Path(made.working_dir, "x").read_text() == f"{secret}|plain|{secret}"
        assert "s3c" not in shown + job_shown + handle.model_dump_json()
        assert "plain" in job_shown

    def test_a_job_to_keep_stays_without_its_secrets_and_says_so(self, tools: FakeTools, job: MakeJob, emulator: Emulator, run_id: str) -> None:
        runner, made = google(emulator, delete=False), job("echo $T > x", env={"T": "s3cret"}, secrets=("s3cret",), output_files=("x",))
        handle = runner.start(made, runner.prepare(made), tools)
        runner.wait(handle, Heard())
        another(runner).remove(handle)
        installation = made.labels["installation"]
        assert runner.reap(installation, lambda key: False) == []
        assert sorted((one.kind, one.state, one.keep) for one in runner.ls(installation)) == [("job", "SUCCEEDED", True), ("prefix", "stored", True)]
        assert [name.rpartition("/")[2] for name in objects(emulator, installation)] == ["out.done", "out.tar"]
        google(emulator).remove(handle.model_copy(update={"details": {**handle.details, "keep": False}}))

    def test_an_upload_is_given_up_in_the_middle(self, runner: TaskRunner, job: MakeJob, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        made, tools, before = job("true"), FakeTools(), len(emulator.jobs.created)
        Path(made.working_dir, "large").write_bytes(b"x" * (40 << 20))
        sent = emulator.storage.buckets.received
        monkeypatch.setattr(tools, "cancelled", lambda: emulator.storage.buckets.received > sent + (12 << 20))
        handle = runner.start(made, runner.prepare(made), tools)
        assert emulator.storage.buckets.received < sent + (30 << 20)
        assert runner.wait(handle, Heard()).code == 137
        runner.remove(handle)
        assert len(emulator.jobs.created) == before

    def test_a_stop_while_the_log_is_silent_is_quick(self, runner: TaskRunner, tools: FakeTools, job: MakeJob) -> None:
        made = job("sleep 600")
        handle = runner.start(made, runner.prepare(made), tools)
        waiting = Waiting(runner, handle)
        over = threading.Thread(target=runner.stop, args=(handle, timedelta(seconds=1)))
        over.start()
        assert waiting.exit().code in (137, 143)
        over.join(SOON)
        runner.remove(handle)

    def test_the_files_of_a_run_are_lost_with_a_reason(self, tools: FakeTools, job: MakeJob, emulator: Emulator) -> None:
        runner, made = google(emulator), job("true", output_files=("x",))
        handle = runner.start(made, runner.prepare(made), tools)
        assert runner.wait(handle, Heard()).code == 0
        emulator.storage.buckets.delete(BUCKET, f"{handle.details['prefix']}out.done")
        with pytest.raises(TaskFailed, match="could not be brought to the bucket"):
            runner.collect(made, handle)
        runner.remove(handle)
        runner.stop(handle, NOW)
