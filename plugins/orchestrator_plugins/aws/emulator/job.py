"""Definitions and jobs as the emulator keeps them."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Mapping
from typing import Any

ENDED = frozenset({"SUCCEEDED", "FAILED"})


def now_ms() -> int:
    """Milliseconds since 1970."""
    return int(time.time() * 1000)


class EmulatedJob:
    """One submitted job. Its task changes it, the API shows it."""

    def __init__(self, *, id: str, arn: str, queue_arn: str, request: Mapping[str, Any], definition: Mapping[str, Any]) -> None:
        self.id, self.arn, self.queue_arn, self.definition = id, arn, queue_arn, definition
        self.name, self.depends_on = str(request["jobName"]), list(request.get("dependsOn", ()))
        self.tags = {**(definition["tags"] if request.get("propagateTags") else {}), **request.get("tags", {})}
        self.bound: int | None = (request.get("timeout") or definition.get("timeout") or {}).get("attemptDurationSeconds")
        self.spec: Mapping[str, Any] = _overridden(definition, request)
        self.created, self.started, self.stopped = now_ms(), None, None  # type: tuple[int, int | None, int | None]
        self.status, self.reason, self.terminated = "SUBMITTED", "", False
        self.containers: dict[str, dict[str, Any]] = {str(one["name"]): {} for one in self.spec["containers"]}
        self.stopping = threading.Event()
        self.reclaimed = False

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def stop(self, reason: str, *, terminated: bool) -> None:
        """Have it ended; the first reason counts."""
        if not self.ended and not self.stopping.is_set():
            self.reason, self.terminated = reason, terminated
            self.stopping.set()

    def end(self, *, succeeded: bool, reason: str = "") -> None:
        self.reason = self.reason if self.stopping.is_set() else reason
        self.stopped = now_ms()
        self.status = "SUCCEEDED" if succeeded else "FAILED"

    def summary(self) -> dict[str, Any]:
        """As ListJobs shows it."""
        times = {"startedAt": self.started, "stoppedAt": self.stopped}
        shown = {"jobArn": self.arn, "jobId": self.id, "jobName": self.name, "createdAt": self.created, "status": self.status}
        return {
            **shown,
            **({"statusReason": self.reason} if self.reason else {}),
            **{name: value for name, value in times.items() if value},
            "jobDefinition": self.definition["jobDefinitionArn"],
        }

    def detail(self) -> dict[str, Any]:
        """As DescribeJobs shows it."""
        task = copy.deepcopy(dict(self.spec))
        for one in task["containers"]:
            one.update(self.containers[one["name"]])
        return {
            **self.summary(),
            "jobQueue": self.queue_arn,
            "tags": self.tags,
            "isTerminated": self.terminated,
            "isCancelled": False,
            "timeout": {"attemptDurationSeconds": self.bound} if self.bound else {},
            "platformCapabilities": self.definition.get("platformCapabilities", []),
            "ecsProperties": {"taskProperties": [task]},
        }


def _overridden(definition: Mapping[str, Any], request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The task to run: the definition's, a single container in the older form as one named `default`."""
    if "ecsProperties" in definition:
        task: Mapping[str, Any] = copy.deepcopy(definition["ecsProperties"]["taskProperties"][0])
        return task
    old, more = dict(definition["containerProperties"]), request.get("containerOverrides", {})
    environment = [*old.get("environment", ()), *more.get("environment", ())]
    container = {**old, **more, "environment": environment, "name": "default", "essential": True}
    return {"containers": [container], "volumes": old.get("volumes", []), "taskRoleArn": old.get("jobRoleArn")}
