"""What stands at AWS under an installation's tags: jobs, definitions, queues made for a run, and prefixes of its bucket."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from orchestrator.sdk import Found, OrchestratorError
from orchestrator_plugins.aws.backend import Backend
from orchestrator_plugins.aws.naming import JOB, KEEP, belongs, staging_prefix
from orchestrator_plugins.aws.outcome import REMOVED
from orchestrator_plugins.aws.poller import MOST
from orchestrator_plugins.aws.queues import remove_queue

GOING, PAUSE = 60.0, 0.5  # seconds that jobs may take to end, and between looks
UNENDED = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")


def found_of(backend: Backend, installation: str, *, queues: Iterable[str], bucket: str | None) -> Iterator[Found]:
    """Everything of an installation: its unended jobs of these queues and of its own, and all else that it has made."""
    own = [queue for queue in backend.batch.queues() if belongs(queue.get("tags", {}), installation) and queue.get("status") != "DELETED"]
    for name in sorted({*queues, *(str(queue["jobQueueName"]) for queue in own)}):
        yield from _jobs(backend, name, installation)
    for definition in backend.batch.definitions():
        if belongs(definition.get("tags", {}), installation):
            yield _found("job-definition", str(definition["jobDefinitionArn"]), str(definition.get("status", "ACTIVE")), definition["tags"])
    yield from (_found("queue", str(queue["jobQueueName"]), str(queue.get("state")), queue["tags"]) for queue in own)
    if bucket:
        for key in backend.storage.folders(bucket, f"{installation}/"):
            yield Found(key=key, kind="prefix", name=f"s3://{bucket}/{staging_prefix(installation, key)}", state="")


def _jobs(backend: Backend, queue: str, installation: str) -> Iterator[Found]:
    listed = [str(job["jobId"]) for status in UNENDED for job in backend.batch.listed(queue, status)]
    for at in range(0, len(listed), MOST):
        for job in backend.batch.describe(listed[at : at + MOST]):
            if belongs(job.get("tags", {}), installation):
                yield _found("job", str(job["jobId"]), str(job["status"]), job["tags"], created=job.get("createdAt"))


def _found(kind: Any, name: str, state: str, tags: Mapping[str, str], created: int | None = None) -> Found:
    made = datetime.fromtimestamp(created / 1000, UTC) if created else None
    return Found(key=tags.get(JOB, ""), kind=kind, name=name, state=state, created=made, labels=dict(tags), keep=tags.get(KEEP) == "true")


def orphans(found: Sequence[Found], live: Iterable[str]) -> list[Found]:
    """What belongs to no live job and is not to be kept; the files of what is kept are kept too. Jobs come first, queues last."""
    spared = {*live, *(one.key for one in found if one.keep)}
    order = ("job", "job-definition", "prefix", "queue")
    return sorted((one for one in found if one.key not in spared), key=lambda one: order.index(one.kind))


def reaped(backend: Backend, doomed: Sequence[Found]) -> Sequence[str]:
    """Remove these things; the keys of those that are gone. What cannot be removed now is tried again the next time."""
    jobs = [one.name for one in doomed if one.kind == "job"]
    for job in jobs:
        backend.batch.terminate(job, REMOVED)
    deadline = time.monotonic() + GOING
    while _unended(backend, jobs) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    removed = {one.key for one in doomed if one.kind == "job"}
    for one in doomed:
        with suppress(OrchestratorError):
            _take_away(backend, one)
            removed.add(one.key)
    return sorted(removed)


def _unended(backend: Backend, jobs: Sequence[str]) -> bool:
    chunks = (jobs[at : at + MOST] for at in range(0, len(jobs), MOST))
    return any(job["status"] in UNENDED for chunk in chunks for job in backend.batch.describe(chunk))


def _take_away(backend: Backend, one: Found) -> None:
    """Remove one thing that is no job; what is gone is success."""
    if one.kind == "job-definition":
        backend.batch.deregister(one.name)
    elif one.kind == "queue":
        remove_queue(backend.batch, one.name)
    elif one.kind == "prefix":
        bucket, _, prefix = one.name.removeprefix("s3://").partition("/")
        backend.storage.delete(bucket, f"{prefix}/")
