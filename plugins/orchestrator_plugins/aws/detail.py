"""What DescribeJobs tells of a job. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDED = frozenset({"SUCCEEDED", "FAILED"})
STARTED = frozenset({"RUNNING", *ENDED})


@dataclass(frozen=True)
class Container:
    """One container of a job's last attempt."""

    exit_code: int | None = None
    reason: str = ""
    stream: str | None = None


@dataclass(frozen=True)
class Detail:
    """A job as the service shows it. Times are milliseconds since 1970."""

    id: str
    status: str
    reason: str
    terminated: bool
    created: int
    started: int | None
    containers: Mapping[str, Container]

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def container(self, name: str) -> Container:
        """A container of that name, or one of which nothing is known."""
        return self.containers.get(name, Container())


def detail_of(job: Mapping[str, Any]) -> Detail:
    """Read one job of an answer."""
    return Detail(
        id=str(job["jobId"]),
        status=str(job["status"]),
        reason=str(job.get("statusReason") or ""),
        terminated=bool(job.get("isTerminated") or job.get("isCancelled")),
        created=int(job.get("createdAt") or 0),
        started=int(job["startedAt"]) if job.get("startedAt") else None,
        containers=_containers(job),
    )


def _containers(job: Mapping[str, Any]) -> dict[str, Container]:
    """Of the last attempt: what stands at the job itself, and where that is silent what stands in its history."""
    found: dict[str, Container] = {}
    history = [task for attempt in job.get("attempts", ())[-1:] for task in attempt.get("taskProperties", ())]
    for task in (*history, *job.get("ecsProperties", {}).get("taskProperties", ())):
        for one in task.get("containers", ()):
            known = found.get(str(one.get("name")), Container())
            found[str(one.get("name"))] = Container(
                exit_code=int(one["exitCode"]) if one.get("exitCode") is not None else known.exit_code,
                reason=str(one.get("reason") or known.reason),
                stream=str(one["logStreamName"]) if one.get("logStreamName") else known.stream,
            )
    return found
