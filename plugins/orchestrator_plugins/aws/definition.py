"""From properties and a job to what AWS Batch is asked to make. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from orchestrator.sdk import Job, JobRejected
from orchestrator.sdk.globs import fixed_part
from orchestrator_plugins.aws.fargate import Share, shares
from orchestrator_plugins.aws.naming import installation_of, staging_prefix, tags_of_job
from orchestrator_plugins.aws.properties import BatchProperties
from orchestrator_plugins.aws.shell import INPUTS, MAIN, OUTPUTS, mark_of

GROUP = "/aws/batch/job"
LARGEST = 24 << 10  # bytes of a job definition
SHORTEST = 60  # seconds of attemptDurationSeconds
VOLUME = "work"
MAIN_NAME, INPUTS_NAME, OUTPUTS_NAME = "main", "inputFiles", "outputFiles"


@dataclass(frozen=True)
class Shape:
    """How a job is laid out: its containers, and where its files stand."""

    fargate: bool
    inputs: bool
    outputs: Sequence[str]  # the paths that may hold output files; empty: nothing comes back
    working_dir: str
    bucket: str | None
    prefix: str


def patterns_of(job: Job, properties: BatchProperties) -> Sequence[str]:
    """What is brought back."""
    if properties.sync_working_directory:
        return ("**",)
    return [*job.output_files, *([f"{job.output_dir}/**"] if job.output_dir else [])]


def shape_of(job: Job, properties: BatchProperties, *, working_dir: str, fargate: bool, has_files: bool) -> Shape:
    """Raises JobRejected when files are wanted and cannot travel."""
    outputs = _outermost([fixed_part(pattern) for pattern in patterns_of(job, properties)])
    if outputs and not properties.bucket:
        raise JobRejected("output files need a bucket to come back through: set `bucket` on the AWS Batch runner")
    needed = bool(outputs) or has_files
    if needed and fargate and properties.bucket and not properties.task_role_arn:
        raise JobRejected("files travel through the bucket by the containers' own role, and Fargate has no other: set `taskRoleArn`")
    inputs = bool(properties.bucket) and (needed or bool(properties.task_role_arn))
    prefix = staging_prefix(installation_of(job), job.key)
    return Shape(fargate=fargate, inputs=inputs, outputs=outputs, working_dir=working_dir, bucket=properties.bucket, prefix=prefix)


def _outermost(parts: Sequence[str]) -> list[str]:
    """The paths with none that lies below another of them; the top is `.`."""
    found: list[str] = []
    for part in sorted(set(parts)):
        if not any(above == "" or part == above or part.startswith(above + "/") for above in found):
            found.append(part)
    return [part or "." for part in found]


def definition_of(job: Job, properties: BatchProperties, shape: Shape) -> dict[str, Any]:
    """The request RegisterJobDefinition. Raises JobRejected when it is larger than the service takes."""
    given = shares(properties, fargate=shape.fargate, sidecars=int(shape.inputs) + bool(shape.outputs))
    containers = [_main(job, properties, shape, given.main)]
    if shape.inputs:
        containers.insert(0, _sidecar(INPUTS_NAME, INPUTS, properties, shape, given.sidecar, job.key))
        containers[0]["essential"] = False
    if shape.outputs:
        last = _sidecar(OUTPUTS_NAME, OUTPUTS, properties, shape, given.sidecar, job.key, more=shape.outputs)
        containers.append({**last, "essential": True, "dependsOn": [{"containerName": MAIN_NAME, "condition": "COMPLETE"}]})
    request = {
        "jobDefinitionName": job.key,
        "type": "container",
        "platformCapabilities": ["FARGATE" if shape.fargate else "EC2"],
        "propagateTags": True,
        "retryStrategy": {"attempts": 1},
        "tags": tags_of_job(job, keep=not properties.delete),
        "ecsProperties": {"taskProperties": [_task(properties, shape, containers)]},
    }
    if len(json.dumps(request["ecsProperties"]).encode()) > LARGEST:
        raise JobRejected("the command and its environment are larger than an AWS Batch job definition takes (24 KiB): put them in input files")
    return request


def _task(properties: BatchProperties, shape: Shape, containers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    task: dict[str, Any] = {"containers": list(containers), "volumes": [{"name": VOLUME}]}
    if properties.execution_role_arn:
        task["executionRoleArn"] = properties.execution_role_arn
    if properties.task_role_arn:
        task["taskRoleArn"] = properties.task_role_arn
    if shape.fargate:
        task["networkConfiguration"] = {"assignPublicIp": "ENABLED"}
    return task


def _main(job: Job, properties: BatchProperties, shape: Shape, share: Share) -> dict[str, Any]:
    made: dict[str, Any] = {
        **_container(MAIN_NAME, str(job.image), share, shape.working_dir, logs=_logs(job.key, properties.region)),
        "command": ["/bin/sh", "-c", MAIN, "orchestrator", shape.working_dir, mark_of(job.key), *job.argv],
        "environment": [{"name": name, "value": value} for name, value in job.env.items()],
        "essential": not shape.outputs,  # the service lets nothing follow an essential container
    }
    if shape.inputs:
        made["dependsOn"] = [{"containerName": INPUTS_NAME, "condition": "SUCCESS"}]
    return made


def _sidecar(name: str, text: str, properties: BatchProperties, shape: Shape, share: Share, key: str, more: Sequence[str] = ()) -> dict[str, Any]:
    environment = {"AWS_DEFAULT_REGION": properties.region, **({"AWS_ENDPOINT_URL": properties.endpoint_override} if properties.endpoint_override else {})}
    return {
        **_container(name, properties.sidecar_image, share, shape.working_dir, logs=_logs(key, properties.region)),
        "command": ["/bin/sh", "-c", text, "orchestrator", str(shape.bucket), shape.prefix, shape.working_dir, *more],
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
    }


def _container(name: str, image: str, share: Share, working_dir: str, *, logs: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "resourceRequirements": share.requirements(),
        "mountPoints": [{"sourceVolume": VOLUME, "containerPath": working_dir}],
        "logConfiguration": {"logDriver": "awslogs", "options": dict(logs)},
    }


def _logs(key: str, region: str) -> Mapping[str, str]:
    return {"awslogs-group": GROUP, "awslogs-region": region, "awslogs-stream-prefix": key}


def submission_of(job: Job, properties: BatchProperties, *, queue: str, definition: str) -> dict[str, Any]:
    """The request SubmitJob: named by the job's key, and bounded also when nobody watches it any more."""
    bound: timedelta = job.timeout or properties.wait_until_completion
    return {
        "jobName": job.key,
        "jobQueue": queue,
        "jobDefinition": definition,
        "propagateTags": True,
        "tags": tags_of_job(job, keep=not properties.delete),
        "timeout": {"attemptDurationSeconds": max(SHORTEST, int(bound.total_seconds()))},
    }
