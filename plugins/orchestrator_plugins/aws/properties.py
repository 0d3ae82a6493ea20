"""What a user may write under the AWS Batch runner."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.sdk import Duration, Late, PluginModel, Spot, Text

SIDECAR = "ghcr.io/kestra-io/awsbatch:latest"
_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*$", re.IGNORECASE)
_MIB = {"": 1.0, "k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0**2}


def mebibytes(text: object) -> object:
    """MiB of a number of them or of a size such as `2GB`. Raises ValueError."""
    if not isinstance(text, str):
        return text
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"`{text}` is not a number of MiB, nor a size such as 2GB")
    return int(float(found[1]) * _MIB[found[2].lower()])


Mebibytes = Late[Annotated[int, Field(gt=0), BeforeValidator(mebibytes), WithJsonSchema({"type": ["integer", "string"]})]]
Processors = Late[Annotated[float, Field(gt=0)]]


class Request(PluginModel):
    """What the whole task is given."""

    cpu: Processors = Field(1.0, description="vCPUs, of the main container and the file sidecars together.", examples=["0.5", "4"])
    memory: Mebibytes = Field(2048, description="Memory of all of them together: MiB, or a size.", examples=["2048", "8GB"])


class Resources(PluginModel):
    request: Request = Request()


class SidecarRequest(PluginModel):
    """What each file sidecar is given of the task's whole."""

    cpu: Processors | None = Field(None, description="vCPUs; 0.25 on Fargate and 1 on EC2 when not set.")
    memory: Mebibytes | None = Field(None, description="MiB, or a size; 512 on Fargate and 128 on EC2 when not set.")


class SidecarResources(PluginModel):
    request: SidecarRequest = SidecarRequest()


class QueuedSpot(Spot):
    """The spot ladder: on AWS a queue is either of the one capacity or of the other."""

    on_demand_job_queue_arn: Text = Field(description="The queue for the starts that are to be on demand; those before go to `jobQueueArn`.")


class BatchProperties(PluginModel):
    """The properties alone, rendered."""

    type: str = "io.kestra.plugin.ee.aws.runner.Batch"
    compute_environment_arn: Text = Field(description="The compute environment: ECS on Fargate or on EC2. Its kind decides the shape of the job.")
    job_queue_arn: Text | None = Field(None, description="The queue; when not set, one is made for the run and removed at its end, which takes longer.")
    execution_role_arn: Text | None = Field(None, description="The role that pulls images and writes logs; required on Fargate.")
    task_role_arn: Text | None = Field(None, description="The role of the containers: the file sidecars read and write the bucket by it.")
    region: Text = Field(description="The region.", examples=["eu-west-1"])
    bucket: Text | None = Field(None, description="The bucket through which files travel; needed for input files, output files and secrets.")
    access_key_id: Text | None = Field(None, description="Access key; without one the machine's own credentials are used.", repr=False)
    secret_key_id: Text | None = Field(None, description="Secret of the access key.", repr=False)
    session_token: Text | None = Field(None, description="Session token of temporary credentials.", repr=False)
    sts_role_arn: Text | None = Field(None, description="A role to assume for all calls.")
    sts_role_external_id: Text | None = Field(None, description="The external id that the role asks for.")
    sts_role_session_name: Text | None = Field(None, description="The name of the role's sessions; `orchestrator` when not set.")
    sts_role_session_duration: Late[Duration] = Field(timedelta(minutes=15), description="How long each session of the role lasts; it is renewed.")
    sts_endpoint_override: Text | None = Field(None, description="Another address of STS alone.")
    endpoint_override: Text | None = Field(None, description="Another address of all services: Batch, S3, CloudWatch Logs, STS.")
    resources: Resources = Field(Resources(), description="What the whole task is given.")
    sidecar_resources: SidecarResources = Field(SidecarResources(), description="What each file sidecar takes of that.")
    sidecar_image: Text = Field(
        SIDECAR, description="The image that moves files: it has a shell, the AWS CLI (2.17 or newer), tar or Python, and no entry point of its own."
    )
    spot: QueuedSpot | None = Field(None, description="Start on spot capacity, and on demand after so many failed starts.")
    wait_until_completion: Late[Duration] = Field(timedelta(hours=1), description="How long a job may run where the task has no timeout.")
    wait_until_running: Late[Duration] = Field(timedelta(minutes=30), description="How long it may take until a job runs.")
    completion_check_interval: Late[Duration] = Field(timedelta(seconds=5), description="How often jobs and their logs are looked at.")
    wait_for_log_interval: Late[Duration] = Field(timedelta(seconds=5), description="How long late log lines are waited for once a job has ended.")
    delete: Late[bool] = Field(True, description="Whether job, definition and files are removed at the end.")
    resume: Late[bool] = Field(True, description="Whether a job found running is gone on with.")
    sync_working_directory: Late[bool] = Field(False, description="Whether the whole working directory comes back, not the declared output files alone.")
