"""An account of the emulator to run jobs in, and images for them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator_plugins.aws.batch import Batch
from orchestrator_plugins.aws.emulator import Account, Emulator
from tests.conftest import missing

IMAGE, SIDECAR = "test/busybox", "test/aws"
REGION = "eu-west-1"


def engine(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def need_images() -> None:
    """Passes over the tests where no engine with the test images answers; where CI is set that is a failure."""
    found = shutil.which("docker") is not None and all(
        subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False, timeout=60).returncode == 0 for image in (IMAGE, SIDECAR)
    )
    if not found:
        missing(f"a Docker engine with the images {IMAGE} and {SIDECAR}")


@contextmanager
def emulated(**options: Any) -> Iterator[tuple[Emulator, Account]]:
    """A running emulator with an account furnished in it; no container or volume of it is left afterwards."""
    need_images()
    aws = Emulator(region=REGION, **{"stop_grace": 1, **options})
    with aws:
        yield aws, aws.furnish()
    assert (containers(aws.id), volumes(aws.id)) == ([], [])


def containers(emulator: str) -> Sequence[str]:
    return engine("ps", "-aq", "--filter", f"label=aws-emulator={emulator}").split()


def volumes(emulator: str) -> Sequence[str]:
    return engine("volume", "ls", "-q", "--filter", f"label=aws-emulator={emulator}").split()


def properties(aws: Emulator, made: Account, **more: Any) -> dict[str, Any]:
    """A runner's properties for the account."""
    return {
        "computeEnvironmentArn": made.compute_environment_arn,
        "jobQueueArn": made.job_queue_arn,
        "executionRoleArn": made.role_arn,
        "taskRoleArn": made.role_arn,
        "accessKeyId": "emulator",
        "secretKeyId": "emulator",
        "region": made.region,
        "bucket": made.bucket,
        "endpointOverride": aws.url,
        "sidecarImage": SIDECAR,
        "completionCheckInterval": "PT0.1S",
        **more,
    }


def runner_of(aws: Emulator, made: Account, **more: Any) -> Batch:
    return Batch.model_validate({name: value for name, value in properties(aws, made, **more).items() if value is not None})


def left(aws: Emulator, made: Account, run: str) -> Sequence[str]:
    """What is there of a test's jobs: containers, volumes, jobs, definitions, queues and objects."""
    batch, s3 = aws.client("batch", made.region), aws.client("s3", made.region)
    found = [*engine("ps", "-aq", "--filter", f"label=test.run={run}").split(), *engine("volume", "ls", "-q", "--filter", f"label=test.run={run}").split()]
    found += [job.id for job in aws.jobs() if job.tags.get("test.run") == run and not job.ended]
    definitions = batch.get_paginator("describe_job_definitions").paginate(status="ACTIVE")
    found += [one["jobDefinitionArn"] for page in definitions for one in page["jobDefinitions"] if one["tags"].get("test.run") == run]
    found += [queue["jobQueueName"] for queue in batch.describe_job_queues()["jobQueues"] if queue["tags"].get("test.run") == run]
    found += [one["Key"] for one in s3.list_objects_v2(Bucket=made.bucket, Prefix=f"contract-{run}/").get("Contents", ())]
    return found
