"""The parts of the AWS Batch runner that need neither AWS nor an engine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
import pytest
from botocore.session import get_session
from botocore.stub import Stubber
from botocore.validate import ParamValidator

from orchestrator import registry
from orchestrator.sdk import BadSettings, Job, JobExit, JobLost, JobRejected, RunnerUnavailable, StartFailed, TaskFailed, TimedOut
from orchestrator.sdk.archive import Owner, packed, unpack
from orchestrator.sdk.testing import Heard
from orchestrator_plugins.aws.access import Access, access_of
from orchestrator_plugins.aws.backend import backend_of
from orchestrator_plugins.aws.batch import Batch
from orchestrator_plugins.aws.client import StorageClient
from orchestrator_plugins.aws.definition import definition_of, shape_of, submission_of
from orchestrator_plugins.aws.detail import Detail, detail_of
from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.log_stream import LARGEST, LogStream
from orchestrator_plugins.aws.fargate import shares
from orchestrator_plugins.aws.naming import tags_of_job
from orchestrator_plugins.aws.outcome import Double, outcome
from orchestrator_plugins.aws.poller import Poller
from orchestrator_plugins.aws.properties import BatchProperties
from orchestrator_plugins.aws.records import Records
from orchestrator_plugins.aws.secrecy import without_secrets
from orchestrator_plugins.aws.shell import MAIN, mark_of

GIVEN: Mapping[str, Any] = {
    "computeEnvironmentArn": "arn:aws:batch:eu-west-1:707969873520:compute-environment/ours",
    "jobQueueArn": "arn:aws:batch:eu-west-1:707969873520:job-queue/ours",
    "executionRoleArn": "arn:aws:iam::707969873520:role/execution",
    "taskRoleArn": "arn:aws:iam::707969873520:role/task",
    "region": "eu-west-1",
    "bucket": "ours",
}
LABELS = {"namespace": "Acme.Team_", "task-id": "Task", "job": "key", "installation": "Inst-1", "test.run": "x"}


def properties(**more: Any) -> BatchProperties:
    return BatchProperties.model_validate({name: value for name, value in {**GIVEN, **more}.items() if value is not None})


def a_job(**more: Any) -> Job:
    return Job.model_validate(
        {"key": "ns-flow-task-0123456789abcdef", "argv": ("sh", "-c", "true"), "working_dir": "/w", "image": "x", "labels": LABELS, **more}
    )


def definition(job: Job, given: BatchProperties, *, fargate: bool = True, has_files: bool = False) -> dict[str, Any]:
    return definition_of(job, given, shape_of(job, given, working_dir="/wd", fargate=fargate, has_files=has_files))


def fits(operation: str, request: Mapping[str, Any]) -> None:
    """Raises AssertionError when the service's own model does not take a request."""
    shape = get_session().get_service_model("batch").operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(dict(request), shape)
    assert not report.has_errors(), report.generate_report()


def containers(request: Mapping[str, Any]) -> dict[str, Any]:
    return {one["name"]: one for one in request["ecsProperties"]["taskProperties"][0]["containers"]}


# --- requests


def test_one_account_at_two_addresses_is_two_back_ends() -> None:
    made = [Batch.model_validate({"type": "ee.aws.runner.Batch", **GIVEN, **more}).backend() for more in ({}, {"endpointOverride": "http://127.0.0.1:5000"})]
    assert made == ["aws:707969873520:eu-west-1", "aws:707969873520:eu-west-1:http://127.0.0.1:5000"]


@pytest.mark.parametrize("fargate", [True, False])
@pytest.mark.parametrize("outputs", [(), ("out/**", "x.txt")])
@pytest.mark.parametrize("bucket", ["ours", None])
def test_every_request_fits_the_services_own_model(fargate: bool, outputs: tuple[str, ...], bucket: str | None) -> None:
    if outputs and bucket is None:
        return
    given, job = properties(bucket=bucket, resources={"request": {"cpu": "4", "memory": "8GB"}}), a_job(output_files=outputs, env={"A": "b"})
    fits("RegisterJobDefinition", definition(job, given, fargate=fargate))
    fits("SubmitJob", submission_of(job, given, queue="q", definition="d"))


def test_the_output_sidecar_follows_also_a_command_that_failed() -> None:
    made = containers(definition(a_job(output_files=("x",)), properties()))
    assert [(name, one["essential"]) for name, one in made.items()] == [("inputFiles", False), ("main", False), ("outputFiles", True)]
    assert made["outputFiles"]["dependsOn"] == [{"containerName": "main", "condition": "COMPLETE"}]


def test_the_main_container_waits_for_no_container_that_is_not_there() -> None:
    made = containers(definition(a_job(), properties(bucket=None)))
    assert list(made) == ["main"]
    assert "dependsOn" not in made["main"]
    assert made["main"]["essential"] is True


def test_a_bound_is_always_given_to_the_service_and_never_below_what_it_takes() -> None:
    given = properties(waitUntilCompletion="PT2H")
    bounds = [
        submission_of(a_job(timeout=timeout), given, queue="q", definition="d")["timeout"] for timeout in (None, timedelta(seconds=5), timedelta(minutes=9))
    ]
    assert [one["attemptDurationSeconds"] for one in bounds] == [7200, 60, 540]


def test_a_command_that_no_definition_can_hold_is_refused() -> None:
    with pytest.raises(JobRejected, match="24 KiB"):
        definition(a_job(argv=("sh", "-c", "x" * 30_000)), properties())


def test_files_on_fargate_need_a_role_for_the_containers() -> None:
    with pytest.raises(JobRejected, match="taskRoleArn"):
        definition(a_job(), properties(taskRoleArn=None), has_files=True)


def test_tags_are_lower_case_but_for_what_is_matched_on() -> None:
    assert tags_of_job(a_job(), keep=True) == {
        "kestra-namespace": "acme.team",
        "kestra-task-id": "task",
        "kestra-job": "ns-flow-task-0123456789abcdef",
        "kestra-installation": "Inst-1",
        "kestra-keep": "true",
        "test.run": "x",
    }


def test_no_secret_stays_in_what_may_be_shown_whatever_its_variable_is_called(tmp_path: Path) -> None:
    job = a_job(argv=("env",), env={"A": "1", "TOKEN": "s3c'ret", "odd.name": "my s3c'ret"}, secrets=("s3c'ret",))
    shown, text = without_secrets(job)
    (tmp_path / ".script-secret").write_text(str(text))
    command = ["/bin/sh", "-c", MAIN, "orchestrator", str(tmp_path), mark_of(job.key), *shown.argv]
    said = subprocess.run(command, env=dict(shown.env), capture_output=True, text=True, check=True, start_new_session=True).stdout
    assert shown.env == {"A": "1"}
    assert "s3c" not in str(shown.model_dump(exclude={"secrets"}))
    lines = said.removesuffix("\n").split("\n")
    assert sorted(line for line in lines if "s3c" in line) == ["\x1eo\x1fTOKEN=s3c'ret", "\x1eo\x1fodd.name=my s3c'ret"]
    assert lines[-1] == "\x1ez\x1f0"
    assert not (tmp_path / ".script-secret").exists()


# --- resources


def test_sidecars_take_their_share_of_the_whole() -> None:
    given = shares(properties(), fargate=True, sidecars=2)
    assert (given.main.cpu, given.main.memory_mib, given.sidecar.cpu, given.sidecar.memory_mib) == (0.5, 1024, 0.25, 512)


@pytest.mark.parametrize(
    ("cpu", "memory", "fargate", "told"),
    [
        ("0.25", "512", True, "leaves nothing for the command"),
        ("1", "1024", True, "2048 to 8192 in steps of 1024"),
        ("3", "8192", True, "Fargate has tasks of"),
        ("0.5", "2048", False, "whole vCPUs"),
    ],
)
def test_what_no_machine_can_give_is_refused_before_it_is_asked_for(cpu: str, memory: str, fargate: bool, told: str) -> None:
    with pytest.raises(JobRejected, match=told):
        shares(properties(resources={"request": {"cpu": cpu, "memory": memory}}), fargate=fargate, sidecars=1)


# --- records


def heard(*messages: str) -> tuple[Heard, Records]:
    logs = Heard()
    records = Records(logs)
    records.take({"message": message, "timestamp": 1000 + at} for at, message in enumerate(messages))
    return logs, records


def test_glued_records_come_apart_and_cut_ones_together() -> None:
    long = "x" * 20_000
    logs, records = heard("\x1eo\x1fa\r\x1ee\x1fb", f"\x1eo\x1f{long}", "tail", "\x1eo\x1f", "\x1ez\x1f0")
    assert logs.lines == [("a", False), ("b", True), (long + "tail", False), ("", False)]
    assert (logs.offsets, records.complete) == ([0, 1, 2, 3], True)


def test_a_long_line_of_the_emulator_comes_back_whole() -> None:
    put: list[dict[str, Any]] = []
    text = "ä" * LARGEST
    LogStream(put.extend, Faults()).follow([f"\x1eo\x1f{text}\n\x1ez\x1f0\n".encode()])
    logs = Heard()
    Records(logs).take(put)
    assert len(put) > 2
    assert logs.texts == [text]


# --- ends


def ended(reason: str = "", *, status: str = "FAILED", terminated: bool = False, **ends: Any) -> Detail:
    shown = [{"name": name, **(one if isinstance(one, dict) else {"exitCode": one})} for name, one in ends.items()]
    task = {"taskProperties": [{"containers": shown}]}
    return detail_of({"jobId": "j", "status": status, "statusReason": reason, "isTerminated": terminated, "createdAt": 1, "ecsProperties": task})


def test_the_main_containers_code_counts_and_never_the_jobs_state() -> None:
    assert outcome(ended(status="SUCCEEDED", main=7, outputFiles=0), outputs=True) == JobExit(code=7)


@pytest.mark.parametrize(
    ("reason", "main", "kind"),
    [
        ("Host EC2 (instance i-1) terminated.", {"exitCode": 137}, "RECLAIMED"),
        ("Task failed to start", {"reason": "CannotPullContainerError: pull image manifest"}, "IMAGE"),
        ("Task failed to start", {"reason": "ResourceInitializationError: no network"}, "SERVICE"),
        ("CAPACITY: none", {}, "CAPACITY"),
    ],
)
def test_a_start_that_failed_is_told_with_its_kind(reason: str, main: dict[str, Any], kind: str) -> None:
    with pytest.raises(StartFailed) as failed:
        outcome(ended(reason, main=main, outputFiles=0), outputs=True)
    assert failed.value.kind == kind


def test_other_ends_are_told_as_what_they_are() -> None:
    with pytest.raises(TimedOut):
        outcome(ended("Job attempt duration exceeded timeout", main=137), outputs=False)
    with pytest.raises(JobLost):
        outcome(ended("removed by the orchestrator", terminated=True), outputs=False)
    with pytest.raises(TaskFailed, match="did not come back"):
        outcome(ended(main=0, outputFiles=1), outputs=True)
    assert outcome(ended(inputFiles=75), outputs=False) == Double()
    killed = outcome(ended("OutOfMemory", main={"exitCode": 137, "reason": "OutOfMemoryError: killed"}), outputs=False)
    assert isinstance(killed, JobExit)
    assert killed.oom_killed


# --- the poller


def test_a_hundred_jobs_are_one_call() -> None:
    asked: list[int] = []
    all_asked = threading.Event()

    def describe(jobs: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        asked.append(len(jobs))
        if sum(asked[-3:]) == 250:
            all_asked.set()
        return [{"jobId": job, "status": "RUNNING"} for job in jobs]

    poller = Poller(describe)
    with ExitStack() as watching:
        for number in range(250):
            watching.enter_context(poller.watching(f"job-{number}", 0.1))
        assert all_asked.wait(10)
    assert asked[-3:] in ([100, 100, 50], [100, 50, 100], [50, 100, 100])


def test_a_service_that_wants_fewer_calls_is_left_alone_longer_each_time() -> None:
    times: list[float] = []
    answered = threading.Event()

    def describe(jobs: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        times.append(time.monotonic())
        if len(times) < 3:
            raise RunnerUnavailable("fewer calls")
        answered.set()
        return [{"jobId": job, "status": "RUNNING"} for job in jobs]

    poller = Poller(describe)
    with poller.watching("job", 0.05) as watch:
        assert answered.wait(10)
        assert poller.look(watch, 5.0) is not None
    assert times[1] - times[0] >= 1.0
    assert times[2] - times[1] >= 2.0


# --- the rest


@pytest.mark.parametrize(
    "name", ["io.kestra.plugin.ee.aws.runner.Batch", "io.kestra.plugin.aws.runner.Batch", "io.kestra.plugin.aws.runner.AwsBatchTaskRunner"]
)
def test_every_name_of_the_runner_is_known(name: str) -> None:
    assert registry.load("task_runner", name) is Batch


def test_keys_stand_in_no_repr_and_in_no_handle() -> None:
    runner = Batch.model_validate({**GIVEN, "accessKeyId": "AKIA-canary", "secretKeyId": "canary", "sessionToken": "canary"})
    assert "canary" not in repr(runner) + repr(access_of(runner)) + runner.prepare(a_job()).model_dump_json()
    assert access_of(runner) == Access("eu-west-1", None, "AKIA-canary", "canary", "canary")


def test_a_back_end_is_an_account_and_a_region() -> None:
    runner = Batch.model_validate(GIVEN)
    assert runner.backend() == "aws:707969873520:eu-west-1"
    assert runner.bucket_path("key", "inst") == "s3://ours/inst/key"


def test_a_prefix_is_emptied_page_by_page() -> None:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")
    client = StorageClient(session, Access("eu-west-1", "http://127.0.0.1:9"))
    pages = [[f"p/{number}" for number in range(1000)], ["p/1000"]]
    with Stubber(client._api) as stub:
        for at, keys in enumerate(pages):
            more: dict[str, Any] = {"NextContinuationToken": "more"} if at == 0 else {}
            asked = {"Bucket": "b", "Prefix": "p/", "MaxKeys": 1000, **({"ContinuationToken": "more"} if at else {})}
            stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in keys], "IsTruncated": at == 0, **more}, asked)
            stub.add_response("delete_objects", {}, {"Bucket": "b", "Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}})
        client.delete("b", "p/")
        stub.assert_no_pending_responses()


def test_a_further_file_travels_with_a_folder_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    with packed(tmp_path / "in", "", Owner(), leave_out=None, more={".more": "text"}) as tar:
        unpack(iter([tar.read()]), PurePosixPath(), tmp_path / "out", lambda name: True)
    assert (tmp_path / "out/.more").read_text() == "text"
    assert (tmp_path / "out/.more").stat().st_mode & 0o777 == 0o600


def test_flows_are_checked_without_boto3_and_a_run_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, orchestrator_plugins.aws.batch; print([name for name in ('boto3', 'botocore', 'moto', 'docker') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    monkeypatch.setitem(sys.modules, "orchestrator_plugins.aws.client", None)
    with pytest.raises(BadSettings, match=r"pip install 'orchestrator\[aws\]'"):
        backend_of(Access("nowhere-1", None))
