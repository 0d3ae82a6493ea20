"""Jobs of AWS Batch, on Fargate or on EC2."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import ClassVar

from orchestrator.sdk import (
    Found,
    Job,
    JobExit,
    JobHandle,
    JobLost,
    JobRejected,
    JobTools,
    Json,
    LogSink,
    PhaseName,
    StartFailed,
    TaskRunner,
)
from orchestrator.sdk.archive import Owner, packed, unpack
from orchestrator.sdk.folders import all_files
from orchestrator.sdk.globs import matches
from orchestrator_plugins.aws.access import access_of
from orchestrator_plugins.aws.backend import Backend, backend_of
from orchestrator_plugins.aws.definition import GROUP, MAIN_NAME, Shape, definition_of, patterns_of, shape_of, submission_of
from orchestrator_plugins.aws.detail import STARTED as RUNS
from orchestrator_plugins.aws.detail import Detail, detail_of
from orchestrator_plugins.aws.leftovers import found_of, orphans, reaped
from orchestrator_plugins.aws.naming import account_of, installation_of, staging_prefix, tags_of_job
from orchestrator_plugins.aws.outcome import KILLED, REMOVED, STOPPED, outcome
from orchestrator_plugins.aws.properties import BatchProperties
from orchestrator_plugins.aws.queues import ensure_queue, remove_queue
from orchestrator_plugins.aws.reading import Reading, explained
from orchestrator_plugins.aws.secrecy import holds_secret, without_secrets
from orchestrator_plugins.aws.shell import INPUT, OUTPUT, SECRET, STARTED
from orchestrator_plugins.aws.submitting import submitted, unended

OPENED = Owner(named=True)  # whoever the image runs as may use the files
GOING = 60.0  # seconds that the service may take to end a job: it grants containers half a minute
LOOK = 0.25  # seconds between looks at whether a start was cancelled


class Batch(BatchProperties, TaskRunner):
    """Run as a job of AWS Batch, which goes on whatever becomes of the orchestrator."""

    ephemeral: ClassVar[bool] = True
    reattaches: ClassVar[bool] = True
    remote_files: ClassVar[bool] = True
    tells_running: ClassVar[bool] = True
    backend_fields: ClassVar[tuple[str, ...]] = ("computeEnvironmentArn", "region")

    def backend(self) -> str:
        return f"aws:{account_of(self.compute_environment_arn)}:{self.region}" + (f":{self.endpoint_override}" if self.endpoint_override else "")

    def _backend(self) -> Backend:
        return backend_of(access_of(self))

    def working_dir(self, job_key: str, local: str) -> str:
        return f"/{job_key}"

    def bucket_path(self, job_key: str, installation: str) -> str | None:
        return f"s3://{self.bucket}/{staging_prefix(installation, job_key)}" if self.bucket else None

    def prepare(self, job: Job) -> JobHandle:
        if not job.image:
            raise JobRejected("a task on the AWS Batch runner needs an image: set `containerImage`")
        details: dict[str, Json] = {
            "region": self.region,
            "queue": self._queue(job),
            "bucket": self.bucket,
            "prefix": staging_prefix(installation_of(job), job.key),
            "outputs": bool(patterns_of(job, self)),
            "keep": not self.delete,
        }
        return JobHandle(key=job.key, runner=self.type, backend=self.backend(), details=details)

    def _queue(self, job: Job) -> str:
        """The queue given, or on demand once the spot ladder's first steps are spent; else one of the job's own, named by its key."""
        if self.spot is not None and not self.spot.asks(job.attempt):
            return self.spot.on_demand_job_queue_arn
        return self.job_queue_arn or job.key

    # --- start

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        backend = self._backend()
        with backend.start_of(handle.key):
            known = self._found_or_made(backend, job, handle, tools)
        if known is None:
            return handle
        if tools.cancelled():  # a stop that came while it was submitted found nothing to stop
            backend.batch.terminate(known, STOPPED)
        self._until_running(backend, known, tools)
        return handle.model_copy(update={"details": {**handle.details, "id": known}})

    def _found_or_made(self, backend: Backend, job: Job, handle: JobHandle, tools: JobTools) -> str | None:
        known = self._known(backend, handle)
        if known is not None and not self.resume:
            self._clear(backend, handle)
            known = None
        return known if known is not None or tools.cancelled() else self._made(backend, job, handle, tools)

    def _known(self, backend: Backend, handle: JobHandle) -> str | None:
        """The id of the job that does the work of this handle, if there is one: of several that which has begun."""
        jobs = [str(job["jobId"]) for job in backend.batch.named(str(handle.details["queue"]), handle.key)]
        if len(jobs) < 2:
            saved = handle.details.get("id")
            return str(saved) if saved else next(iter(jobs), None)
        return self._begun(backend, handle) or jobs[0]

    def _begun(self, backend: Backend, handle: JobHandle) -> str | None:
        """The id of the job that has begun, as it wrote it itself."""
        bucket = handle.details.get("bucket")
        content = backend.storage.get(str(bucket), f"{handle.details['prefix']}/{STARTED}") if bucket else None
        return None if content is None else b"".join(content).decode()

    def _clear(self, backend: Backend, handle: JobHandle) -> None:
        self._end_all(backend, handle, STOPPED)
        if handle.details.get("bucket"):
            backend.storage.delete_one(str(handle.details["bucket"]), f"{handle.details['prefix']}/{STARTED}")

    def _made(self, backend: Backend, job: Job, handle: JobHandle, tools: JobTools) -> str | None:
        shape = self._shape(backend, job)
        shown, secret = without_secrets(job)
        if shape.inputs:
            tools.phase(PhaseName.FILES_IN)
            self._upload(backend, job, shape, secret)
        definition = definition_of(shown, self, shape)
        if tools.cancelled():
            return None
        tools.phase(PhaseName.PROVISIONING)
        backend.logs.ensure_group(GROUP)
        registered, queue = backend.batch.register(definition), str(handle.details["queue"])
        if queue == job.key:
            ensure_queue(backend.batch, queue, self.compute_environment_arn, tags_of_job(job, keep=not self.delete), tools.cancelled)
        return submitted(backend.batch, submission_of(job, self, queue=queue, definition=registered), tools.cancelled)

    def _shape(self, backend: Backend, job: Job) -> Shape:
        fargate = backend.kind_of(self.compute_environment_arn).startswith("FARGATE")
        if fargate and not self.execution_role_arn:
            raise JobRejected("Fargate pulls images and writes logs by a role: set `executionRoleArn`")
        files = [name for name in all_files(Path(job.working_dir)) if job.output_dir is None or not name.startswith(f"{job.output_dir}/")]
        secret = holds_secret(job)
        if not self.bucket and (files or secret):
            what = f"files ({', '.join(files[:3])}{' ...' if len(files) > 3 else ''})" if files else "a secret, which may stand in no job definition,"
            raise JobRejected(f"this task has {what} and the AWS Batch runner no bucket to bring it there: set `bucket`")
        has_files = bool(files) or secret or any(path.is_dir() for path in Path(job.working_dir).iterdir())
        return shape_of(job, self, working_dir=self.working_dir(job.key, job.working_dir), fargate=fargate, has_files=has_files and bool(self.bucket))

    def _upload(self, backend: Backend, job: Job, shape: Shape, secret: str | None) -> None:
        more = {SECRET: secret} if secret is not None else {}
        with packed(Path(job.working_dir), "", OPENED, leave_out=job.output_dir, more=more) as tar:
            backend.storage.put(str(shape.bucket), f"{shape.prefix}/{INPUT}", tar)

    def _until_running(self, backend: Backend, job: str, tools: JobTools) -> None:
        """Tell each stage until the job runs or has ended. Raises StartFailed when it takes too long: then it is ended."""
        told, begun = "", time.time()
        with backend.poller.watching(job, self._interval) as watch:
            while not tools.cancelled():
                detail = backend.poller.look(watch, min(LOOK, self._interval))
                if detail is not None and detail.status in RUNS:
                    return tools.phase(PhaseName.RUNNING) if _has_begun(detail) else None
                if detail is not None and detail.status != told:
                    told = detail.status
                    tools.phase(PhaseName.PROVISIONING, f"{told}: {detail.reason}" if detail.reason else told)
                since = watch.detail.created / 1000 if watch.detail is not None else begun
                if time.time() - since > self.wait_until_running.total_seconds():
                    self._give_up(backend, job, watch.detail)
        backend.batch.terminate(job, STOPPED)

    def _give_up(self, backend: Backend, job: str, last: Detail | None) -> None:
        backend.batch.terminate(job, STOPPED)
        state = f"it is {last.status}" if last is not None else "AWS Batch does not know it"
        why = f": {last.reason}" if last is not None and last.reason else ""
        raise StartFailed(f"job {job} did not run within {self.wait_until_running}, {state}{why}", "BOUND")

    @property
    def _interval(self) -> float:
        return max(0.05, self.completion_check_interval.total_seconds())

    # --- wait

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        backend = self._backend()
        job = str(handle.details.get("id") or self._known(backend, handle) or "")
        if not job:
            return JobExit(code=KILLED, reason="stopped before it was started")
        while True:
            ended, stream = self._followed(backend, job, logs)
            result = outcome(explained(backend.logs, ended), outputs=bool(handle.details.get("outputs")))
            if isinstance(result, JobExit):
                return result.model_copy(update={"details": {"jobId": job, "jobQueue": handle.details["queue"], "logStream": stream}})
            other = self._begun(backend, handle)
            if other is None or other == job:
                raise JobLost(f"job {job} gave way to another of its run, and that one is gone")
            job = other

    def _followed(self, backend: Backend, job: str, logs: LogSink) -> tuple[Detail, str | None]:
        """A job to its end, and to the end of its log."""
        reading, stream = Reading(backend.logs, logs), None
        with backend.poller.watching(job, self._interval) as watch:
            while True:
                detail = backend.poller.look(watch, self._interval)
                known = detail or watch.detail
                stream = known.container(MAIN_NAME).stream if known is not None else None
                complete = reading.records.complete
                reading.on(stream)
                if known is not None and known.ended:
                    break
                if reading.records.complete and not complete:
                    backend.poller.hurry()
        reading.to_the_end(stream, self.wait_for_log_interval.total_seconds())
        return known, stream

    # --- collect

    def collect(self, job: Job, handle: JobHandle) -> None:
        patterns = patterns_of(job, self)
        content = self._backend().storage.get(str(self.bucket), f"{handle.details['prefix']}/{OUTPUT}") if patterns else None
        if content is not None:
            unpack(content, PurePosixPath(), Path(job.working_dir), lambda name: any(matches(pattern, name) for pattern in patterns))

    # --- the end

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        """The service grants every container half a minute, whatever `grace` says. Returns once the job has ended."""
        self._end_all(self._backend(), handle, STOPPED)

    def _end_all(self, backend: Backend, handle: JobHandle, reason: str) -> None:
        """Terminate the handle's jobs, doubles too, and see them ended."""
        deadline = time.monotonic() + GOING
        asked: set[str] = set()
        while left := self._unended(backend, handle):
            for job in left:
                if job not in asked:
                    backend.batch.terminate(job, reason)
                    asked.add(job)
            if time.monotonic() > deadline:
                return
            time.sleep(min(1.0, self._interval))

    def _unended(self, backend: Backend, handle: JobHandle) -> list[str]:
        jobs = {*unended(backend.batch.named(str(handle.details["queue"]), handle.key))}
        saved = handle.details.get("id")
        if saved and str(saved) not in jobs:
            jobs |= {str(job["jobId"]) for job in backend.batch.describe([str(saved)]) if not detail_of(job).ended}
        return sorted(jobs)

    def remove(self, handle: JobHandle) -> None:
        if handle.details.get("keep"):
            return
        backend = self._backend()
        self._end_all(backend, handle, REMOVED)
        for definition in list(backend.batch.definitions(handle.key)):
            backend.batch.deregister(str(definition["jobDefinitionArn"]))
        if handle.details["queue"] == handle.key:
            remove_queue(backend.batch, handle.key)
        if handle.details.get("bucket"):
            backend.storage.delete(str(handle.details["bucket"]), f"{handle.details['prefix']}/")

    # --- what is out there

    def ls(self, installation: str) -> Sequence[Found]:
        """Everything tagged for an installation in this account and region, and its prefixes in the bucket."""
        queues = [queue for queue in (self.job_queue_arn, self.spot.on_demand_job_queue_arn if self.spot else None) if queue]
        return list(found_of(self._backend(), installation, queues=queues, bucket=self.bucket))

    def reap(self, installation: str, live: Callable[[str], bool]) -> Sequence[str]:
        found = self.ls(installation)
        return reaped(self._backend(), orphans(found, {one.key for one in found if live(one.key)}))

    def price_key(self, job: Job) -> Mapping[str, Json] | None:
        """What a run costs by: the service, and what the whole task was given."""
        kind = self._backend().kind_of(self.compute_environment_arn)
        spot = self.spot.asks(job.attempt) if self.spot is not None else kind.endswith("SPOT")
        request = self.resources.request
        service = "aws-fargate" if kind.startswith("FARGATE") else "aws-batch-ec2"
        return {"service": service, "region": self.region, "vcpu": request.cpu, "memory_mib": request.memory, "spot": spot}


def _has_begun(job: Detail) -> bool:
    """Whether a job that left its queue has come to its command, or may have: one that failed at its start has not."""
    return not job.ended or job.container(MAIN_NAME).exit_code is not None
