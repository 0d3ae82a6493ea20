"""From properties and a job to the job that Google is asked to make, in the JSON of its API. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from orchestrator.sdk import Job, JobRejected, Json, label_value
from orchestrator_plugins.gcp.place import owner_of, seconds
from orchestrator_plugins.gcp.properties import BatchProperties
from orchestrator_plugins.gcp.wrapping import AROUND, BRING_IN, BRING_OUT, Shown, mark_of

PREFIX = "kestra-"
JOB, OWNER, KEEP, DEADLINE = f"{PREFIX}job", f"{PREFIX}owner", f"{PREFIX}keep", f"{PREFIX}deadline"
MOUNT = "/mnt/disks/share"  # where the machine has the job's prefix of the bucket
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(days=14)  # that the service lets a task run
_SLACK = timedelta(hours=1)
_SHARED = {"e2-micro": 2, "e2-small": 2, "e2-medium": 2, "f1-micro": 1, "g1-small": 1}  # processors of machines whose name has no number


@dataclass(frozen=True)
class Staging:
    """What travels beside the command. `brings_in`: there are files; `inline`: they stand here, as a tar in base64."""

    remote: str | None = None  # bucket and prefix
    brings_in: bool = False
    inline: str = ""
    outputs: Sequence[str] = ()  # what is brought back; "." is everything


def labels_of_job(job: Job, *, keeps: bool, deadline: datetime) -> dict[str, str]:
    """The job's labels in Google's alphabet, with the two that its owner finds it by and never mistakes it by."""
    named = {label_name(name): label_text(value) for name, value in job.labels.items()}
    ours = {JOB: job.key, OWNER: owner_of(job.labels.get("installation", "")), DEADLINE: str(int(deadline.timestamp()))}
    return {**named, **ours, **({KEEP: "true"} if keeps else {})}


def label_name(name: str) -> str:
    """A label's name; one without a prefix of its own gets ours."""
    text = re.sub(r"[^a-z0-9_-]", "-", name.lower())
    return (text if "." in name or "/" in name else PREFIX + text)[:63]


def label_text(value: str) -> str:
    """A label's value: lower case, and a `-` for all that Google's labels cannot hold."""
    return re.sub(r"[^a-z0-9_-]", "-", label_value(value).lower())


def is_of(labels: Mapping[str, str], job: Job) -> bool:
    """Whether labels are those of this very job."""
    return labels.get(JOB) == job.key and labels.get(OWNER) == owner_of(job.labels.get("installation", ""))


def longest_run(job: Job, properties: BatchProperties) -> timedelta:
    """How long the service lets the command run, whatever becomes of us."""
    return min(max(job.timeout or properties.wait_until_completion, SHORTEST), LONGEST)


def deadline_of(job: Job, properties: BatchProperties, now: datetime) -> datetime:
    """When the job must be over, come what may."""
    return (now + properties.wait_until_running + longest_run(job, properties) * (properties.max_retry_count + 1) + _SLACK).astimezone(UTC)


def asks_for_spot(job: Job, properties: BatchProperties) -> bool:
    """Whether this start asks for a spot machine."""
    return properties.spot is not None and properties.spot.asks(job.attempt)


def check_machine(properties: BatchProperties) -> None:
    """Raises JobRejected when the command asks for more processors than its machine has."""
    found = re.search(r"-(\d+)g?$", properties.machine_type)
    processors = int(found[1]) if found else _SHARED.get(properties.machine_type)
    asked = properties.compute_resource.cpu if properties.compute_resource else None
    if processors is not None and asked is not None and asked > processors * 1000:
        raise JobRejected(f"`computeResource.cpu: {asked}` is more than a {properties.machine_type} has ({processors} processors): take a larger `machineType`")


def job_json(job: Job, properties: BatchProperties, command: Shown, staging: Staging, now: datetime) -> dict[str, Json]:
    """The whole job."""
    return {
        "taskGroups": [{"taskSpec": _task_spec(job, properties, command, staging), "taskCount": "1", "parallelism": "1"}],
        "allocationPolicy": _allocation(job, properties),
        "labels": labels_of_job(job, keeps=not properties.delete, deadline=deadline_of(job, properties, now)),
        "logsPolicy": {"destination": "CLOUD_LOGGING"},
    }


def _task_spec(job: Job, properties: BatchProperties, command: Shown, staging: Staging) -> dict[str, Json]:
    volumes = [{"gcs": {"remotePath": staging.remote}, "mountPath": MOUNT, "mountOptions": ["--implicit-dirs"]}] if staging.remote else []
    return {
        "runnables": _runnables(job, properties, command, staging),
        "maxRunDuration": seconds(longest_run(job, properties)),
        "maxRetryCount": properties.max_retry_count,
        **({"volumes": volumes} if volumes else {}),
        **({"computeResource": resource} if (resource := _compute_resource(properties)) else {}),
        **({"lifecyclePolicies": policies} if (policies := _policies(properties)) else {}),
    }


def _runnables(job: Job, properties: BatchProperties, command: Shown, staging: Staging) -> list[Json]:
    folder = f"/{job.key}"
    mark, bucket = mark_of(job.key), MOUNT if staging.remote else ""
    found: list[Json] = []
    if staging.brings_in:
        given = [mark, bucket, folder, *([staging.inline] if staging.inline else [])]
        found.append(_sidecar(job, properties, "files-in", BRING_IN, given, has_bucket=bool(bucket)))
    found.append({"container": _main(job, properties, command, folder), "displayName": "main", "environment": {"variables": dict(command.env)}})
    if staging.outputs:
        given = [mark, bucket, folder, *staging.outputs]
        found.append({**_sidecar(job, properties, "files-out", BRING_OUT, given, has_bucket=True), "alwaysRun": True})
    return found


def _main(job: Job, properties: BatchProperties, command: Shown, folder: str) -> dict[str, Json]:
    words = ["-c", AROUND, "orchestrator", mark_of(job.key), folder, *command.argv]
    cleared = properties.entry_point is not None  # its words stand in the command already; an image's own is given the shell
    container = {"imageUri": job.image, "volumes": [f"{job.key}:{folder}"], "commands": words if cleared else ["/bin/sh", *words]}
    return {**container, **({"entrypoint": "/bin/sh"} if cleared else {})}


def _sidecar(job: Job, properties: BatchProperties, name: str, text: str, given: Sequence[str], *, has_bucket: bool) -> dict[str, Json]:
    volumes = [f"{job.key}:/{job.key}", *([f"{MOUNT}:{MOUNT}"] if has_bucket else [])]
    image = properties.file_sidecar.image
    container = {"imageUri": image, "entrypoint": "/bin/sh", "commands": ["-c", text, "orchestrator", *given], "volumes": volumes, "options": "--user 0:0"}
    return {"container": container, "displayName": name}


def _compute_resource(properties: BatchProperties) -> dict[str, Json]:
    asked = properties.compute_resource
    if asked is None:
        return {}
    named = {"cpuMilli": asked.cpu, "memoryMib": asked.memory, "bootDiskMib": asked.boot_disk}
    return {name: str(value) for name, value in named.items() if value is not None}


def _policies(properties: BatchProperties) -> list[Json]:
    return [{"action": one.action, "actionCondition": {"exitCodes": list(one.exit_codes)}} for one in properties.lifecycle_policies]


def _allocation(job: Job, properties: BatchProperties) -> dict[str, Json]:
    policy = {
        "machineType": properties.machine_type,
        "provisioningModel": "SPOT" if asks_for_spot(job, properties) else "STANDARD",
        **({"reservation": properties.reservation} if properties.reservation else {}),
    }
    interfaces = [{"network": one.network, **({"subnetwork": one.subnetwork} if one.subnetwork else {})} for one in properties.network_interfaces]
    account = properties.runtime_service_account
    return {
        "instances": [{"policy": policy}],
        **({"network": {"networkInterfaces": interfaces}} if interfaces else {}),
        **({"serviceAccount": {"email": account}} if account else {}),
    }
