"""What a user may write under the Docker runner."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from orchestrator.sdk import Duration, Json, Late, PluginModel, Text

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*$", re.IGNORECASE)


def size_in_bytes(text: object) -> object:
    """Bytes of a size such as `512MB`, `1Gi` or `64m`. Raises ValueError."""
    if not isinstance(text, str):
        return text
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(f"`{text}` is not a size such as 512MB or 1Gi")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


Size = Late[Annotated[int, BeforeValidator(size_in_bytes), WithJsonSchema({"type": ["integer", "string"]})]]


class Cpu(PluginModel):
    cpus: Late[Annotated[float, Field(gt=0)]] = Field(description="How many processors, fractions too.")


class Memory(PluginModel):
    memory: Size | None = None
    memory_swap: Size | None = None
    memory_swappiness: Late[Annotated[int, Field(ge=0, le=100)]] | None = None
    memory_reservation: Size | None = None
    kernel_memory: Size | None = None
    oom_kill_disable: Late[bool] | None = None


class DeviceRequest(PluginModel):
    driver: str | None = None
    count: Late[int] | None = None
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, ...], ...] = ()
    options: Mapping[str, str] | None = None


class Credentials(PluginModel):
    """Who pulls from a registry."""

    registry: str | None = None
    username: str | None = None
    password: str | None = Field(None, repr=False)
    registry_token: str | None = Field(None, repr=False)
    identity_token: str | None = Field(None, repr=False)
    auth: str | None = Field(None, repr=False)


class DockerProperties(PluginModel):
    """The properties alone, rendered."""

    type: str = "io.kestra.plugin.scripts.runner.docker.Docker"
    host: Text | None = Field(None, description="The engine's address; `/var/run/docker.sock` when not set.")
    config: Json = Field(None, description="The content of a docker `config.json`, as text or map, for its registry logins.", repr=False)
    credentials: Credentials | None = None
    user: Text | None = Field(None, description="The user to run as; the image's own when not set.")
    entry_point: tuple[Text, ...] = Field(("",), description="The entry point; cleared when not set.")
    extra_hosts: tuple[Text, ...] = ()
    network_mode: Text | None = None
    port_bindings: tuple[Text, ...] = ()
    volumes: tuple[Text, ...] = Field((), description="`/host:/container[:ro]`; refused unless the server allows it.")
    pull_policy: Late[Literal["ALWAYS", "IF_NOT_PRESENT", "NEVER"]] = "IF_NOT_PRESENT"
    device_requests: tuple[DeviceRequest, ...] = ()
    cpu: Cpu | None = None
    memory: Memory | None = None
    shm_size: Size | None = None
    privileged: Late[bool] = Field(False, description="Refused unless the server allows it.")
    file_handling_strategy: Late[Literal["VOLUME", "MOUNT"]] = Field("VOLUME", description="VOLUME copies files in and out; MOUNT binds the working directory.")
    delete: Late[bool] = Field(True, description="Whether the container is removed at the end.")
    wait_: Late[bool] = Field(True, alias="wait", description="Whether to wait for the end.")
    kill_grace_period: Late[Duration] = Field(timedelta(), description="How long a killed command may take to end by itself.")
    wait_until_running: Late[Duration] = Field(
        timedelta(minutes=10), description="How long the image may take to be pulled, apart from the task's timeout.", examples=["PT10M"]
    )
    resume: Late[bool] = Field(True, description="Whether a container found running is gone on with.")

    @property
    def keeps(self) -> bool:
        """Whether the container stays when the run is over."""
        return not (self.delete and self.wait_)
