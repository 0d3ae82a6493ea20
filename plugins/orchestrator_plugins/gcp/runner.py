"""Jobs as jobs of Google Cloud Batch."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import PrivateAttr

from orchestrator.sdk import (
    BadSettings,
    Found,
    Job,
    JobExit,
    JobHandle,
    JobRejected,
    JobTools,
    Json,
    LogSink,
    PhaseName,
    RunnerUnavailable,
    StartFailed,
    TaskFailed,
    TaskRunner,
)
from orchestrator_plugins.gcp.ends import KILLED, lost
from orchestrator_plugins.gcp.facts import GOING, JobFacts
from orchestrator_plugins.gcp.following import Following, Pace
from orchestrator_plugins.gcp.lookout import lookout_of
from orchestrator_plugins.gcp.place import Place, owner_of, place_of
from orchestrator_plugins.gcp.properties import BatchProperties
from orchestrator_plugins.gcp.shape import JOB, KEEP, OWNER, asks_for_spot, check_machine, is_of, job_json
from orchestrator_plugins.gcp.staging import Stage, stage_of
from orchestrator_plugins.gcp.wrapping import mark_of

if TYPE_CHECKING:
    from orchestrator_plugins.gcp.client import BatchClient

ASKINGS = 6  # times that one start asks for its job
PAUSE, LONGEST_PAUSE = 0.5, 20.0  # seconds between them, doubling
LOOK = 0.25  # seconds between looks at whether the job was cancelled meanwhile
STOPPING = 120.0  # seconds that a stop waits for the service to let go
STOP_LOOK = 1.0
LETTING_GO = 60.0  # seconds to see a removed job gone


@contextmanager
def opened(place: Place) -> Iterator[BatchClient]:
    """A client of one call's own: a stop need not wait for what another call is doing."""
    with _needing_google():
        from orchestrator_plugins.gcp.client import BatchClient
    with BatchClient(place) as client:
        yield client


@contextmanager
def _needing_google() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as err:
        raise BadSettings("the Google Batch runner needs packages that are not installed: pip install 'orchestrator[gcp]'") from err


class Batch(BatchProperties, TaskRunner):
    """Run in a container on a machine of Google Cloud Batch, which goes on whatever becomes of the worker."""

    ephemeral: ClassVar[bool] = True
    reattaches: ClassVar[bool] = True
    remote_files: ClassVar[bool] = True
    tells_running: ClassVar[bool] = True
    backend_fields: ClassVar[tuple[str, ...]] = ("projectId", "region")

    _tools: JobTools | None = PrivateAttr(None)
    _ended: JobExit | None = PrivateAttr(None)
    _trouble: str | None = PrivateAttr(None)

    def backend(self) -> str:
        return self._place().backend

    def _place(self) -> Place:
        with _needing_google():
            return place_of(self)

    def working_dir(self, job_key: str, local: str) -> str:
        return f"/{job_key}"

    def bucket_path(self, job_key: str, installation: str) -> str | None:
        return f"gs://{self.bucket}/{installation}/{job_key}" if self.bucket else None

    def takes_files(self) -> bool:
        """Yes: a few small ones need no bucket, and what needs one is refused by `prepare` with the reason."""
        return True

    def price_key(self, job: Job) -> dict[str, Json]:
        return {"service": "gcp-batch", "region": self.region, "machine": self.machine_type, "spot": asks_for_spot(job, self)}

    def start_bound(self) -> timedelta | None:
        """`wait` keeps the bound itself: it can say in the service's own words why the command has not begun."""
        return None

    def prepare(self, job: Job) -> JobHandle:
        if not job.image:
            raise JobRejected("a task on the Google Batch runner needs an image: set `containerImage`")
        check_machine(self)
        stage_of(job, self)
        place = self._place()
        prefix = f"{job.labels.get('installation', 'unknown')}/{job.key}/" if self.bucket else None
        details = {"job": f"{place.parent}/jobs/{job.key}", "bucket": self.bucket, "prefix": prefix, "keep": not self.delete}
        return JobHandle(key=job.key, runner=self.type, backend=place.backend, details=details)

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        self._tools = tools
        with opened(self._place()) as client:
            found = self._adoptable(client, job, handle)
            if found is None and handle.details.get("uid"):
                raise lost(_name(handle), "is gone: it was removed by someone else")
            if found is not None:
                tools.phase(PhaseName.PROVISIONING, "adopted")
                return _known(handle, found)
            if tools.cancelled():
                return handle
            stage = stage_of(job, self)
            is_there = stage.upload(self._place(), handle, tools.cancelled)
            made = self._made(client, job, stage, handle, tools) if is_there and not tools.cancelled() else None
            if made is None:
                return handle
            if tools.cancelled():  # a stop that came while it was made found nothing to stop
                client.cancel(made.name)
            return _known(handle, made)

    def _adoptable(self, client: BatchClient, job: Job, handle: JobHandle) -> JobFacts | None:
        """The job that an earlier start made. Raises JobRejected when its name is another's, JobLost when it is being removed."""
        found = client.get(_name(handle))
        if found is None:
            return None
        if not is_of(found.labels, job):
            raise JobRejected(f"there is a job `{job.key}` that is not this run's; remove it or rename it")
        if found.state in GOING:
            raise lost(found.name, "is being removed by someone else")
        if self.resume:
            return found
        client.delete(found.name, "begun anew: `resume` is false")
        return None if _gone(client, found.name, STOPPING) else found

    def _made(self, client: BatchClient, job: Job, stage: Stage, handle: JobHandle, tools: JobTools) -> JobFacts | None:
        """Ask for the job until the service has it. Its name makes asking twice harmless; None when cancelled meanwhile."""
        from orchestrator_plugins.gcp.client import AnswerLost, NameTaken, Throttled

        shape = job_json(job, self, stage.command, stage.staging(handle), datetime.now(UTC))
        tools.phase(PhaseName.PROVISIONING, self.machine_type)
        pause, failure = PAUSE, StartFailed("the service did not answer", "LOST")
        for _ in range(ASKINGS):
            try:
                return client.create(job.key, shape, str(uuid.uuid5(uuid.NAMESPACE_URL, handle.details["job"])))
            except NameTaken:
                if (found := self._adoptable(client, job, handle)) is not None:
                    return found
            except Throttled as err:
                failure = StartFailed(str(err), "CAPACITY")
            except AnswerLost as err:
                failure = StartFailed(str(err), "LOST")
            if not _rested(pause, tools):
                return None
            pause = min(pause * 2, LONGEST_PAUSE)
        raise failure

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        place = self._place()
        with opened(place) as client:
            first = client.get(_name(handle))
        if first is None and not handle.details.get("uid"):
            return JobExit(code=KILLED, reason="stopped before it was started")
        if first is None:
            raise lost(_name(handle), "is gone: it was removed by someone else")
        pace = Pace(self.completion_check_interval, self.wait_for_log_interval, self.wait_until_running, self.max_retry_count > 0)
        owner = first.labels.get(OWNER, "")
        following = Following(
            lookout_of(place, owner), first.name, mark_of(handle.key), pace, began=self._began, give_up=lambda: self.stop(handle, timedelta())
        )
        self._ended = following.to_end(first, logs)
        self._trouble = following.reading.trouble if following.reading else None
        return self._ended

    def _began(self) -> None:
        if self._tools is not None:
            self._tools.phase(PhaseName.RUNNING)

    def collect(self, job: Job, handle: JobHandle) -> None:
        stage = stage_of(job, self)
        if not stage.outputs or stage.bring_back(self._place(), handle, Path(job.working_dir)):
            return
        if self._ended is None or self._ended.code == 0:
            raise TaskFailed(f"the output files could not be brought to the bucket: {self._trouble or 'the service did not say why'}")

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        """Cancel, which keeps the exit code, and wait until the machine has let go. The service says itself how long the command is given."""
        with opened(self._place()) as client:
            client.cancel(_name(handle))
            deadline = time.monotonic() + STOPPING + grace.total_seconds()
            look = min(STOP_LOOK, self.completion_check_interval.total_seconds())
            while (facts := client.get(_name(handle))) is not None and not (facts.has_ended or facts.state in GOING):
                if time.monotonic() > deadline:
                    raise RunnerUnavailable(f"job {handle.key} was cancelled and is still {facts.state}")
                time.sleep(look)

    def remove(self, handle: JobHandle) -> None:
        stage = Stage.left_by(handle)
        if handle.details.get("keep"):
            return stage.remove_secrets(self._place())
        with opened(self._place()) as client:
            client.delete(_name(handle), "its run has ended")
        stage.remove(self._place())

    def ls(self, installation: str) -> Sequence[Found]:
        """Every job of an installation in this region, and its prefixes in the bucket."""
        with opened(self._place()) as client:
            jobs = client.jobs({OWNER: owner_of(installation)})
        found = [_found(job) for job in jobs]
        kept = {one.key for one in found if one.keep}
        return [*found, *(Stage.prefixes(self._place(), self.bucket, installation, kept) if self.bucket else ())]

    def reap(self, installation: str, live: Callable[[str], bool]) -> Sequence[str]:
        """Remove what no live job owns; those to keep are passed over."""
        orphans = [one for one in self.ls(installation) if not (one.keep or live(one.key) or one.state in GOING)]
        with opened(self._place()) as client:
            for one in orphans:
                if one.kind == "job":
                    client.delete(one.name, "no live run owns it")
                else:
                    Stage(bucket=self.bucket, prefix=f"{installation}/{one.key}/").remove(self._place())
            for one in orphans:
                if one.kind == "job":
                    _gone(client, one.name, LETTING_GO)
        return sorted({one.key for one in orphans})


def _found(job: JobFacts) -> Found:
    labels = job.labels
    return Found(key=labels.get(JOB, ""), kind="job", name=job.name, state=job.state, created=job.created, labels=labels, keep=labels.get(KEEP) == "true")


def _name(handle: JobHandle) -> str:
    return str(handle.details["job"])


def _known(handle: JobHandle, facts: JobFacts) -> JobHandle:
    return handle.model_copy(update={"details": {**handle.details, "uid": facts.uid}})


def _gone(client: BatchClient, name: str, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while client.get(name) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK)
    return True


def _rested(seconds: float, tools: JobTools) -> bool:
    """Wait; whether the job is still wanted then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not tools.cancelled():
        time.sleep(LOOK)
    return not tools.cancelled()
