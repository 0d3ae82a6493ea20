"""The part of the Batch API that is about definitions and jobs; moto answers the rest."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.job import ENDED, EmulatedJob, now_ms

PAGE = 100
LARGEST = 24 << 10  # bytes of a definition
_DEPENDENCIES = frozenset({"START", "COMPLETE", "SUCCESS"})


class ClientError(Exception):
    """What the service answers with ClientException."""


class JobsApi:
    """Definitions and jobs of one account and region. Safe in threads."""

    def __init__(self, account: str, region: str, *, faults: Faults, queue_arn: Callable[[str], str | None], run: Callable[[EmulatedJob], None]) -> None:
        self._account, self._region, self._faults, self._queue_arn, self._run = account, region, faults, queue_arn, run
        self._lock = threading.Lock()
        self._definitions: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, EmulatedJob] = {}
        self._calls: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "registerjobdefinition": self._register,
            "describejobdefinitions": self._describe_definitions,
            "deregisterjobdefinition": self._deregister,
            "submitjob": self._submit,
            "describejobs": self._describe,
            "listjobs": self._list,
            "terminatejob": self._terminate,
            "canceljob": self._cancel,
        }

    def answers(self, action: str) -> bool:
        return action in self._calls

    def call(self, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer. Raises ClientError."""
        with self._lock:
            return self._calls[action](body)

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:batch:{self._region}:{self._account}:{kind}/{name}"

    # --- definitions

    def _register(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name = str(body["jobDefinitionName"])
        _check(body)
        revision = 1 + sum(one["jobDefinitionName"] == name for one in self._definitions.values())
        arn = self._arn("job-definition", f"{name}:{revision}")
        self._definitions[arn] = {**body, "tags": body.get("tags", {}), "jobDefinitionArn": arn, "revision": revision, "status": "ACTIVE"}
        return {"jobDefinitionArn": arn, "jobDefinitionName": name, "revision": revision}

    def _describe_definitions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        name, status, wanted = body.get("jobDefinitionName"), body.get("status"), body.get("jobDefinitions")
        found = [
            one
            for one in self._definitions.values()
            if name in (None, one["jobDefinitionName"]) and status in (None, one["status"]) and (not wanted or one["jobDefinitionArn"] in wanted)
        ]
        return _page(found, body, "jobDefinitions")

    def _deregister(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self._definition(str(body["jobDefinition"]))["status"] = "INACTIVE"
        return {}

    def _definition(self, asked: str) -> dict[str, Any]:
        """By ARN, by name and revision, or by name alone: the newest active one."""
        for one in reversed(self._definitions.values()):
            name = one["jobDefinitionName"]
            if asked in (one["jobDefinitionArn"], f"{name}:{one['revision']}") or (asked == name and one["status"] == "ACTIVE"):
                return one
        raise ClientError(f"JobDefinition {asked} does not exist")

    # --- jobs

    def _submit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        queue = self._queue_arn(str(body["jobQueue"]))
        if queue is None:
            raise ClientError(f"JobQueue {body['jobQueue']} does not exist")
        definition = self._definition(str(body["jobDefinition"]))
        if definition["status"] != "ACTIVE":
            raise ClientError("JobDefinition is not ACTIVE")
        made = str(uuid.uuid4())
        job = EmulatedJob(id=made, arn=self._arn("job", made), queue_arn=queue, request=body, definition=definition)
        self.jobs[made] = job
        self._run(job)
        return {"jobArn": job.arn, "jobName": job.name, "jobId": made}

    def _describe(self, body: Mapping[str, Any]) -> dict[str, Any]:
        if len(body["jobs"]) > PAGE:
            raise ClientError("Too many jobs")
        if self._faults.knows_nothing():
            return {"jobs": []}
        return {"jobs": [self.jobs[asked].detail() for asked in body["jobs"] if asked in self.jobs]}

    def _list(self, body: Mapping[str, Any]) -> dict[str, Any]:
        queue, filters = self._queue_arn(str(body.get("jobQueue"))), body.get("filters")
        if queue is None:
            raise ClientError(f"JobQueue {body.get('jobQueue')} does not exist")
        latest = now_ms() - self._faults.list_lag * 1000
        found = [job for job in self.jobs.values() if job.queue_arn == queue and job.created <= latest]
        status = body.get("jobStatus", "RUNNING")  # it counts only where nothing else is asked for
        shown = [job.summary() for job in found if (_named(job.name, filters) if filters else job.status == status)]
        return _page(shown, body, "jobSummaryList")

    def _terminate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        job = self.jobs.get(str(body["jobId"]))
        if job is not None:
            job.stop(str(body["reason"]), terminated=True)
        return {}

    def _cancel(self, body: Mapping[str, Any]) -> dict[str, Any]:
        job = self.jobs.get(str(body["jobId"]))
        if job is not None and job.status in {"SUBMITTED", "PENDING", "RUNNABLE"}:
            job.stop(str(body["reason"]), terminated=False)
        return {}

    def ended(self, job: str) -> bool | None:
        """Whether a job another one waits for has succeeded; None while it has not ended."""
        found = self.jobs.get(job)
        return None if found is not None and found.status not in ENDED else found is not None and found.status == "SUCCEEDED"


def _page(found: Sequence[Any], body: Mapping[str, Any], name: str) -> dict[str, Any]:
    begin = int(body.get("nextToken") or 0)
    size = min(PAGE, int(body.get("maxResults") or PAGE))
    more = begin + size < len(found)
    return {name: found[begin : begin + size], **({"nextToken": str(begin + size)} if more else {})}


def _named(name: str, filters: Sequence[Mapping[str, Any]]) -> bool:
    wanted = [str(value).lower() for one in filters if one["name"] == "JOB_NAME" for value in one["values"]]
    return any(name.lower().startswith(value[:-1]) if value.endswith("*") else name.lower() == value for value in wanted)


def _check(body: Mapping[str, Any]) -> None:
    """The rules of multi-container definitions."""
    if "ecsProperties" not in body:
        if not body.get("containerProperties", {}).get("image"):
            raise ClientError("Container properties should not be empty for a job definition of type container")
        return
    if len(json.dumps(body["ecsProperties"]).encode()) > LARGEST:
        raise ClientError("Job definition is larger than 24 KiB")
    task = body["ecsProperties"]["taskProperties"][0]
    essential = {str(one["name"]): bool(one.get("essential", True)) for one in task["containers"]}
    if len(essential) != len(task["containers"]):
        raise ClientError("Container names must be unique")
    if not any(essential.values()):
        raise ClientError("At least one essential container is required")
    if "FARGATE" in body.get("platformCapabilities", ()) and not task.get("executionRoleArn"):
        raise ClientError("Error executing request, Exception : executionRoleArn is required for Fargate jobs")
    for one in task["containers"]:
        for needed in one.get("dependsOn", ()):
            _check_dependency(needed, essential)


def _check_dependency(needed: Mapping[str, str], essential: Mapping[str, bool]) -> None:
    name, condition = needed["containerName"], needed["condition"]
    if name not in essential:
        raise ClientError(f"dependsOn: no container named {name}")
    if condition not in _DEPENDENCIES:
        raise ClientError(f"dependsOn: no condition {condition}")
    if condition != "START" and essential[name]:
        raise ClientError(f"dependsOn: {condition} can't be set on the essential container {name}")
