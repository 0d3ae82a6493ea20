"""What becomes of jobs when AWS is slow, full, forgetful or throttled, and what is refused before anything is made."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.sdk import Job, JobExit, JobHandle, JobRejected, PhaseName, StartFailed, TaskFailed, TimedOut
from orchestrator.sdk.fakes import FakeTools
from orchestrator.sdk.testing import SOON, Heard, Waiting, until
from orchestrator_plugins.aws.batch import Batch
from orchestrator_plugins.aws.emulator import Account, Emulator
from tests.contract.aws_site import IMAGE, containers, emulated, engine, left, runner_of

pytestmark = pytest.mark.docker

RUN = "troubles"
NOW = timedelta()


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Emulator, Account]]:
    with emulated() as made:
        yield made


@pytest.fixture
def aws(site: tuple[Emulator, Account]) -> Iterator[Emulator]:
    """Calm before and after, and with nothing of a test's left."""
    site[0].faults.calm()
    yield site[0]
    site[0].faults.calm()
    assert until(lambda: not left(site[0], site[1], RUN)), left(site[0], site[1], RUN)


@pytest.fixture
def account(site: tuple[Emulator, Account]) -> Account:
    return site[1]


@pytest.fixture
def plain(aws: Emulator, account: Account) -> Batch:
    """A runner of one container a job: no bucket, so no files."""
    return runner_of(aws, account, bucket=None)


@pytest.fixture
def job(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Job]:
    folder = tmp_path / "work"
    folder.mkdir()
    names = iter(range(100))
    name = "".join(char if char.isalnum() else "-" for char in request.node.name.lower())[-40:].strip("-")

    def make(text: str, **more: Any) -> Job:
        labels = {"test.run": RUN, "installation": f"contract-{RUN}", "taskrun-id": "Run_1"}
        facts = {"key": f"t-{name}-{next(names)}", "argv": ("/bin/sh", "-c", text), "working_dir": str(folder), "image": IMAGE, "labels": labels}
        return Job.model_validate({**facts, **more})

    return make


def finished(runner: Batch, job: Job, tools: FakeTools | None = None) -> tuple[JobExit, Heard]:
    """A job from preparation to removal."""
    heard, handle = Heard(), runner.prepare(job)
    try:
        handle = runner.start(job, handle, tools or FakeTools())
        ended = runner.wait(handle, heard)
        runner.collect(job, handle)
        return ended, heard
    finally:
        runner.remove(handle)


class Starting(Waiting):
    """A start and the wait after it, on a thread of their own."""

    def __init__(self, runner: Batch, job: Job, tools: FakeTools) -> None:
        self._made, self._tools, self.handle = job, tools, runner.prepare(job)
        super().__init__(runner, self.handle)

    def run(self) -> None:
        try:
            self._handle = self._runner.start(self._made, self.handle, self._tools)
        except BaseException as err:
            return self.ended.append(err)
        super().run()


def begun(runner: Batch, job: Job) -> JobHandle:
    return runner.start(job, runner.prepare(job), FakeTools())


# --- before it runs


@pytest.mark.parametrize("state", ["SUBMITTED", "RUNNABLE", "STARTING"])
def test_a_kill_is_heard_in_every_state(aws: Emulator, plain: Batch, job: Callable[..., Job], state: str) -> None:
    aws.faults.hold(state)
    made, tools = job("echo ran"), FakeTools()
    waiting = Starting(plain, made, tools)
    assert until(lambda: [one.status for one in aws.jobs(made.key)] == [state])
    tools.stopped = True
    plain.stop(waiting.handle, NOW)
    assert waiting.exit().code != 0
    assert (waiting.heard.texts, aws.jobs(made.key)[0].terminated) == ([], True)
    plain.remove(waiting.handle)


def test_a_job_that_never_gets_to_run_fails_at_the_bound_with_the_services_reason(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    aws.faults.hold("RUNNABLE", "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    with pytest.raises(StartFailed, match=r"RUNNABLE: CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY") as failed:
        finished(runner_of(aws, account, bucket=None, waitUntilRunning="PT1S"), job("true"))
    assert failed.value.kind == "BOUND"


def test_a_slow_start_is_told_stage_by_stage_and_no_stage_as_running(aws: Emulator, plain: Batch, job: Callable[..., Job]) -> None:
    aws.faults.slow("RUNNABLE", 0.6)
    tools = FakeTools()
    finished(plain, job("true"), tools)
    assert (PhaseName.PROVISIONING, "RUNNABLE") in tools.phases
    assert [name for name, _ in tools.phases][-1] is PhaseName.RUNNING


def test_an_image_that_is_not_there_is_a_failed_start(aws: Emulator, plain: Batch, job: Callable[..., Job]) -> None:
    with pytest.raises(StartFailed, match="CannotPullContainerError") as failed:
        finished(plain, job("true", image="no/such:1.2.3"))
    assert failed.value.kind == "IMAGE"


def test_an_image_that_is_not_there_fails_also_beside_an_output_sidecar(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    with pytest.raises(StartFailed, match="CannotPullContainerError"):
        finished(runner_of(aws, account), job("true", image="no/such:1.2.3", output_files=("x",)))


# --- the service


def test_an_answer_that_was_lost_makes_no_second_job(aws: Emulator, plain: Batch, job: Callable[..., Job]) -> None:
    aws.faults.lose_answers("SubmitJob")
    made = job("echo once")
    assert finished(plain, made)[1].texts == ["once"]
    assert len(aws.jobs(made.key)) == 1


def test_of_two_jobs_that_a_lost_answer_made_one_runs(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    aws.faults.lose_answers("SubmitJob")
    aws.faults.lag_lists(4.0)
    made = job("echo once; exit 4")
    ended, heard = finished(runner_of(aws, account), made)
    assert (ended.code, heard.texts) == (4, ["once"])
    doubles = aws.jobs(made.key)
    assert len(doubles) == 2
    assert [one.containers["main"].get("exitCode") for one in doubles].count(4) == 1
    assert [one.containers["main"].get("exitCode") for one in doubles].count(None) == 1


@pytest.mark.parametrize("fault", ["throttled", "forgetful"])
def test_a_throttled_or_forgetful_service_is_asked_again(aws: Emulator, plain: Batch, job: Callable[..., Job], fault: str) -> None:
    made = job("echo up; sleep 1; exit 5")
    if fault == "throttled":
        aws.faults.throttle("DescribeJobs", 7)  # three tries of one call each
    else:
        aws.faults.know_nothing(5)
    ended, heard = finished(plain, made)
    assert (ended.code, heard.texts) == (5, ["up"])


def test_late_and_glued_log_records_arrive_once_and_in_order(aws: Emulator, plain: Batch, job: Callable[..., Job]) -> None:
    aws.faults.delay_logs(1.0)
    aws.faults.glue_logs(7)
    text = "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done; echo; echo '::{\"outputs\":{}}::'; echo bad >&2; printf 'last ::{'"
    heard = finished(plain, job(text))[1]
    assert [line for line, stderr in heard.lines if not stderr] == [*map(str, range(50)), "", '::{"outputs":{}}::', "last ::{"]
    assert [line for line, stderr in heard.lines if stderr] == ["bad"]


def test_reclaimed_capacity_is_a_failed_start(aws: Emulator, plain: Batch, job: Callable[..., Job]) -> None:
    made = job("echo up; sleep 600")
    handle = begun(plain, made)
    waiting = Waiting(plain, handle)
    assert waiting.heard.some.wait(SOON)
    aws.reclaim(made.key)
    waiting.join(SOON)
    plain.remove(handle)
    assert isinstance(waiting.ended[0], StartFailed)
    assert waiting.ended[0].kind == "RECLAIMED"


def test_after_so_many_failed_starts_the_queue_on_demand_is_taken(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    on_demand = aws.queue("on-demand", account.compute_environment_arn)
    runner = runner_of(aws, account, bucket=None, spot={"attempts": 2, "then": "on-demand", "onDemandJobQueueArn": on_demand})
    queues = [runner.prepare(job("true", attempt=attempt)).details["queue"] for attempt in range(4)]
    assert queues == [account.job_queue_arn, account.job_queue_arn, on_demand, on_demand]
    assert finished(runner, job("true", attempt=2))[0].details["jobQueue"] == on_demand


def test_a_job_past_its_bound_has_timed_out(aws: Emulator, plain: Batch, job: Callable[..., Job]) -> None:
    made = job("echo up; sleep 600", timeout=timedelta(seconds=5))
    handle = begun(plain, made)
    assert aws.jobs(made.key)[0].bound == 60  # the least that the service takes
    aws.jobs(made.key)[0].bound = 0
    with pytest.raises(TimedOut, match="waitUntilCompletion"):
        plain.wait(handle, Heard())
    plain.remove(handle)


# --- files


def test_input_files_that_cannot_travel_are_a_failed_start_in_the_sidecars_words(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    made = job("true")
    runner = runner_of(aws, account, sidecarImage=IMAGE)  # it has no AWS CLI
    with pytest.raises(StartFailed, match=r"inputFiles: .*aws: not found"):
        finished(runner, made)


@pytest.mark.parametrize("code", [0, 3])
def test_output_files_that_are_lost_fail_a_run_that_succeeded_and_are_told_of_one_that_failed(
    aws: Emulator, account: Account, job: Callable[..., Job], code: int
) -> None:
    made, runner = job(f"echo kept > out.txt; sleep 1; exit {code}", output_files=("out.txt",)), runner_of(aws, account)
    handle = begun(runner, made)
    assert until(lambda: "logStreamName" in aws.jobs(made.key)[0].containers["main"])
    aws.faults.throttle("s3:PUT", 5)
    lost = r"its output files did not come back: the container outputFiles ended with 1 .*429"
    if code == 0:
        with pytest.raises(TaskFailed, match=f"The command succeeded, but {lost}"):
            runner.wait(handle, Heard())
    else:
        ended = runner.wait(handle, Heard())
        assert ended.code == code
        assert re.search(lost, str(ended.reason))
    runner.remove(handle)


def test_files_secrets_and_outputs_without_a_bucket_are_refused_before_anything_is_made(
    aws: Emulator, plain: Batch, job: Callable[..., Job], tmp_path: Path
) -> None:
    with pytest.raises(JobRejected, match="set `bucket`"):
        begun(plain, job("true", output_files=("x",)))
    with pytest.raises(JobRejected, match=r"a secret.*set `bucket`"):
        begun(plain, job("echo s3cret", secrets=("s3cret",)))
    (tmp_path / "work/a.txt").write_text("")
    with pytest.raises(JobRejected, match=r"files \(a\.txt\).*set `bucket`"):
        begun(plain, job("true"))


def test_the_whole_working_directory_comes_back_where_that_is_asked(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    made = job("mkdir -p a/b; echo 1 > a/b/c; echo 2 > d")
    finished(runner_of(aws, account, syncWorkingDirectory=True), made)
    assert [Path(made.working_dir, name).read_text() for name in ("a/b/c", "d")] == ["1\n", "2\n"]


# --- secrets


@pytest.mark.parametrize("argv", ["shell", "program"])
def test_no_definition_job_or_container_shows_a_secret(aws: Emulator, account: Account, job: Callable[..., Job], argv: str) -> None:
    secret = "s3c'ret $(x) \\ ä"
    text = f'echo up; printf \'%s|%s|%s\' "$TOKEN" "$PLAIN" {shlex.quote(secret)}; test ! -s .script-secret; sleep 1; exit 7'
    made = job(text, env={"TOKEN": secret, "PLAIN": "plain"}, secrets=(secret, "emulator-key"))
    if argv == "program":
        made = made.model_copy(update={"argv": ("env", f"GIVEN={secret}", "sh", "-c", 'echo up; printf %s "$GIVEN"; sleep 1; exit 7')})
    runner = runner_of(aws, account)
    handle, heard = begun(runner, made), Heard()
    assert until(lambda: "logStreamName" in aws.jobs(made.key)[0].containers["main"])
    batch = aws.client("batch")
    definitions = batch.describe_job_definitions(jobDefinitionName=made.key)["jobDefinitions"]
    described = batch.describe_jobs(jobs=[handle.details["id"]])["jobs"]
    shown = json.dumps([definitions, described], default=str) + "".join(engine("inspect", one) for one in containers(aws.id))
    code = runner.wait(handle, heard).code
    runner.remove(handle)
    assert (code, heard.texts) == (7, ["up", f"{secret}|plain|{secret}" if argv == "shell" else secret])
    assert (made.key in shown, "PLAIN" in shown, "s3c" in shown, "TOKEN" in shown) == (True, True, False, False)


# --- what stays, what goes


def test_a_queue_of_the_runs_own_is_made_and_removed(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    made = job("echo mine")
    ended, heard = finished(runner_of(aws, account, bucket=None, jobQueueArn=None), made)
    assert (ended.code, heard.texts, ended.details["jobQueue"]) == (0, ["mine"], made.key)


def test_what_is_to_be_kept_stays_and_says_so(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    runner = runner_of(aws, account, delete=False)
    made = job("true")
    finished(runner, made)
    installation = made.labels["installation"]
    assert {(one.kind, one.keep) for one in runner.ls(installation) if one.kind != "prefix"} == {("job-definition", True)}
    assert runner.reap(installation, lambda key: False) == []
    assert [one.name for one in runner.ls(installation) if one.kind == "prefix"] == [f"s3://{account.bucket}/{installation}/{made.key}"]
    handle = runner_of(aws, account).prepare(made)
    runner_of(aws, account).remove(handle)


def test_reaping_removes_what_no_live_job_owns_and_nothing_else(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    runner = runner_of(aws, account, jobQueueArn=None)
    mine, dead = job("sleep 600"), job("sleep 600")
    handles = [begun(runner, made) for made in (mine, dead)]
    installation = mine.labels["installation"]
    fresh = runner_of(aws, account)
    assert fresh.reap("another-installation", lambda key: False) == []
    assert {one.kind for one in fresh.ls(installation) if one.key == dead.key} == {"job", "job-definition", "queue", "prefix"}
    assert fresh.reap(installation, lambda key: key == mine.key) == [dead.key]
    assert until(lambda: {one.key for one in fresh.ls(installation)} == {mine.key})
    for handle in handles:
        runner.remove(handle)


def test_without_resume_a_job_that_is_found_makes_way_for_another(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    made = job("echo ran; sleep 600")
    begun(runner_of(aws, account), made)
    runner = runner_of(aws, account, resume=False)
    handle = begun(runner, made)
    assert [one.terminated for one in aws.jobs(made.key)] == [True, False]
    waiting = Waiting(runner, handle)
    assert waiting.heard.some.wait(SOON)
    runner.stop(handle, NOW)
    waiting.exit()
    runner.remove(handle)


# --- the account


def test_a_role_is_assumed_where_one_is_named(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    before = aws.calls("sts:post")
    runner = runner_of(aws, account, bucket=None, stsRoleArn=account.role_arn, stsRoleExternalId="ours", stsRoleSessionDuration="PT20M")
    assert finished(runner, job("true"))[0].code == 0
    assert aws.calls("sts:post") > before


@pytest.mark.parametrize(
    ("wrong", "told"),
    [("computeEnvironmentArn", "there is no compute environment"), ("executionRoleArn", "set `executionRoleArn`"), ("jobQueueArn", "does not exist")],
)
def test_what_is_wrong_with_a_property_is_told(aws: Emulator, account: Account, job: Callable[..., Job], wrong: str, told: str) -> None:
    value = {"computeEnvironmentArn": account.compute_environment_arn + "x", "jobQueueArn": account.job_queue_arn + "x"}.get(wrong)
    with pytest.raises(JobRejected, match=told):
        finished(runner_of(aws, account, bucket=None, **{wrong: value}), job("true"))


def test_running_out_of_memory_is_told(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    ec2 = aws.furnish(environment="ec2", queue="ec2", bucket=account.bucket, kind="EC2")
    runner = runner_of(aws, ec2, bucket=None, resources={"request": {"cpu": "1", "memory": "16"}})
    ended, _ = finished(runner, job("x=a; while true; do x=$x$x$x; done"))
    assert (ended.code, ended.oom_killed) == (137, True)
    assert "OOM" in str(ended.reason)


def test_many_jobs_share_one_look(aws: Emulator, account: Account, job: Callable[..., Job]) -> None:
    runner, tools = runner_of(aws, account, bucket=None, completionCheckInterval="PT0.5S"), FakeTools()
    aws.faults.hold("RUNNABLE")
    waiting = [Starting(runner, made, tools) for made in [job("true") for _ in range(6)]]
    assert until(lambda: sum(len(aws.jobs(one.handle.key)) for one in waiting) == 6)
    before, begin = aws.calls("DescribeJobs"), time.monotonic()
    assert until(lambda: aws.calls("DescribeJobs") >= before + 4)
    assert time.monotonic() - begin > 1.0  # four looks at half a second each, not six times as many
    tools.stopped = True
    for one in waiting:
        assert one.exit().code != 0
        runner.remove(one.handle)


# --- the emulator by itself


def test_the_emulator_starts_by_itself_takes_orders_and_ends_when_it_is_told() -> None:
    command = [sys.executable, "-m", "orchestrator_plugins.aws.emulator", "--port", "0", "--account", "707969873520", "--region", "eu-west-1"]
    with subprocess.Popen([*command, "--queue", "ours"], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        told = dict(running.stdout.readline().strip().split(": ") for _ in range(5))
        orders = json.dumps({"hold": ["RUNNABLE", "why"], "glue_logs": 3}).encode()
        with urllib.request.urlopen(f"{told['endpointOverride']}/emulator/faults", orders, timeout=30) as answer:
            assert answer.status == 200
        running.terminate()
        assert running.wait(SOON) == 0
    assert told["jobQueueArn"] == "arn:aws:batch:eu-west-1:707969873520:job-queue/ours"
