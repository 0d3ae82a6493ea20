"""What a user may write under the Google Batch runner."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.sdk import Duration, Late, PluginModel, Spot, Text, is_template

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b?)?\s*$", re.IGNORECASE)
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


def size_in_mib(value: object) -> object:
    """MiB of a size such as `20GiB`, or of a bare number, which is MiB already. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = _SIZE.match(value)
    if found is None:
        raise ValueError(f"`{value}` is not a size such as 2048 (MiB) or 20GiB")
    return max(1, int(float(found[1]) * 1024 ** ("kmgt".index((found[2] or "m").lower()) - 1)))


def _key(value: object) -> object:
    """A service account's key as its JSON text, whichever way it was written. Raises ValueError, never showing it."""
    if isinstance(value, Mapping):
        return json.dumps(value)
    if not isinstance(value, str) or is_template(value):
        return value
    try:
        is_map = isinstance(json.loads(value), Mapping)
    except ValueError:
        is_map = False
    if not is_map:
        raise ValueError("it is not the JSON of a service account's key")
    return value


Mib = Late[Annotated[int, BeforeValidator(size_in_mib), Field(gt=0), WithJsonSchema({"type": ["integer", "string"]})]]


class ComputeResource(PluginModel):
    """What the command is given of its machine."""

    cpu: Late[Annotated[int, Field(gt=0)]] | None = Field(None, description="Thousandths of a processor; 2000 when not set.", examples=["1000"])
    memory: Mib | None = Field(None, description="MiB, or a size; 2048 when not set.", examples=["2048", "4GiB"])
    boot_disk: Mib | None = Field(None, description="MiB, or a size, of the disk that the machine starts from.", examples=["50GiB"])


class NetworkInterface(PluginModel):
    network: Text = Field(description="The network's full resource name.", examples=["projects/my-project/global/networks/default"])
    subnetwork: Text | None = Field(None, description="The subnetwork's full resource name.")


class LifecyclePolicy(PluginModel):
    """What the service itself does on some exit codes."""

    action: Late[Literal["RETRY_TASK", "FAIL_TASK"]]
    exit_codes: tuple[Late[int], ...] = Field(min_length=1)


class FileSidecar(PluginModel):
    """The small container that brings files in and out; it needs a shell, tar, gzip and base64."""

    image: Text = Field("busybox", description="Its image. Where machines do not reach the public registry, a copy in your own.")


class BatchProperties(PluginModel):
    """The properties alone, rendered."""

    type: str = "io.kestra.plugin.ee.gcp.runner.Batch"
    project_id: Text | None = Field(None, description="The project; that of the credentials when not set.", examples=["my-project"])
    region: Text = Field(description="Where the job runs.", examples=["europe-west1"])
    service_account: Annotated[Text | None, BeforeValidator(_key)] = Field(
        None, description="The JSON key of the service account that calls Google; the machine's own credentials when not set.", repr=False
    )
    impersonated_service_account: Text | None = Field(None, description="The e-mail of a service account to act as.")
    scopes: tuple[Text, ...] = Field((CLOUD_PLATFORM,), description="What the credentials are asked for.")
    endpoint_override: Text | None = Field(
        None, description="Another address of Google's services; `http://` means plaintext and no credentials, as an emulator needs it."
    )
    logging_endpoint_override: Text | None = Field(None, description="Another address of Cloud Logging alone.")
    storage_endpoint_override: Text | None = Field(None, description="Another address of Cloud Storage alone.")
    machine_type: Text = Field("e2-medium", description="The kind of machine.", examples=["n2-standard-4"])
    reservation: Text | None = Field(None, description="A reservation of machines to take one from: it starts sooner.")
    compute_resource: ComputeResource | None = None
    entry_point: tuple[Text, ...] | None = Field(None, description="Words put before the command; the image's own entry point when not set.")
    network_interfaces: tuple[NetworkInterface, ...] = Field((), description="The networks of the machine; the project's default when not set.")
    runtime_service_account: Text | None = Field(None, description="The e-mail of the service account that the command itself runs as.")
    bucket: Text | None = Field(None, description="The bucket that files travel through; needed for files and for secrets.")
    max_retry_count: Late[Annotated[int, Field(ge=0, le=10)]] = Field(0, description="How often the service itself runs a failed command again.")
    lifecycle_policies: tuple[LifecyclePolicy, ...] = Field((), description="On which exit codes the service retries or fails at once.")
    spot: Spot | None = Field(None, description="Spot machines for the first starts of a run.")
    file_sidecar: FileSidecar = Field(FileSidecar(), description="The container that brings files in and out.")
    wait_until_running: Late[Duration] = Field(timedelta(minutes=30), description="How long the service may take until the command runs.")
    wait_until_completion: Late[Duration] = Field(timedelta(hours=1), description="How long the command may take where the task has no `timeout`.")
    completion_check_interval: Late[Duration] = Field(timedelta(seconds=5), description="How often the service is asked.")
    wait_for_log_interval: Late[Duration] = Field(timedelta(seconds=5), description="How long to wait for late log entries after the end.")
    delete: Late[bool] = Field(True, description="Whether the job and its files in the bucket are removed at the end.")
    resume: Late[bool] = Field(True, description="Whether a job found running is gone on with.")
    sync_working_directory: Late[bool] = Field(False, description="Whether every file of the working directory comes back, not only those declared.")
