"""From properties and a job to what the engine is asked to make. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.sdk import Found, Job, JobRejected, Json
from orchestrator_plugins.docker.properties import DeviceRequest, DockerProperties, Memory

PREFIX = "kestra.io/"
GPU = frozenset({"gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"})
HUB = "https://index.docker.io/v1/"


def labels_of_job(job: Job, properties: DockerProperties) -> dict[str, str]:
    """The container's labels: names without a prefix of their own get ours."""
    labels = {name if "." in name or "/" in name else PREFIX + name: value for name, value in job.labels.items()}
    return {**labels, f"{PREFIX}job": job.key, **({f"{PREFIX}keep": "true"} if properties.keeps else {})}


def found_in(container: Mapping[str, Any]) -> Found:
    """A container as it stands in the engine's list."""
    labels = container["Labels"] or {}
    return Found(
        key=labels.get(f"{PREFIX}job", ""),
        kind="container",
        name=str(container["Id"]),
        state=str(container["State"]),
        created=datetime.fromtimestamp(container["Created"], UTC),
        labels=labels,
        keep=labels.get(f"{PREFIX}keep") == "true",
    )


def check_powers(properties: DockerProperties, allows: Callable[[str], bool]) -> None:
    """Raises JobRejected when a property asks for a power over the host that the server does not give."""
    network = properties.network_mode or ""
    asked = {
        "privileged": ("privileged: true", properties.privileged),
        "volumes": ("volumes", bool(properties.volumes)),
        "host-network": (f"networkMode: {network}", network == "host" or network.startswith("container:")),
        "devices": ("deviceRequests", not all(map(_is_for_gpus, properties.device_requests))),
    }
    for power, (written, wanted) in asked.items():
        if wanted and not allows(power):
            remedy = f"its operator may allow it with the setting `docker.allow: {power}`"
            raise JobRejected(f"`{written}` gives power over the engine's host and is refused by this server; {remedy}")


def _is_for_gpus(request: DeviceRequest) -> bool:
    """Whether a request can only be for GPUs, which are lent and not given: other drivers hand out whatever the host calls a device."""
    return request.driver in (None, "", "nvidia") and {name for group in request.capabilities for name in group} <= GPU


def container_config(job: Job, properties: DockerProperties, *, image: str, working_dir: str, is_bare: bool = False) -> dict[str, Json]:
    """The body of the request that makes the container; `is_bare`: the job's argv is all of the command, an entry point included."""
    ports = [_port(binding) for binding in properties.port_bindings]
    return {
        "Image": image,
        "Cmd": list(job.argv),
        "Entrypoint": [""] if is_bare else list(properties.entry_point),
        "Env": [f"{name}={value}" for name, value in job.env.items()],
        "WorkingDir": working_dir,
        "Labels": labels_of_job(job, properties),
        **({"User": properties.user} if properties.user else {}),
        **({"ExposedPorts": {inside: {} for inside, _ in ports}} if ports else {}),
        "HostConfig": {**_host_config(job, properties), **({"PortBindings": {inside: [outside] for inside, outside in ports}} if ports else {})},
    }


def _host_config(job: Job, properties: DockerProperties) -> dict[str, Json]:
    config: dict[str, Json] = {"LogConfig": {"Type": "json-file", "Config": {}}}  # its log keeps times and whole lines, unbounded
    if properties.kill_grace_period:
        config["Init"] = True  # process 1 without a handler of its own ignores SIGTERM
    if properties.file_handling_strategy == "MOUNT":
        config["Mounts"] = [{"Type": "bind", "Source": job.working_dir, "Target": job.working_dir}]
    if properties.cpu:
        config["NanoCpus"] = int(properties.cpu.cpus * 1e9)
    if properties.memory:
        config.update(_memory(properties.memory))
    if properties.device_requests:
        config["DeviceRequests"] = [_device(request.model_dump()) for request in properties.device_requests]
    wanted = {
        "Binds": list(properties.volumes),
        "ExtraHosts": list(properties.extra_hosts),
        "NetworkMode": properties.network_mode,
        "ShmSize": properties.shm_size,
        "Privileged": properties.privileged,
    }
    return {**config, **{name: value for name, value in wanted.items() if value}}


def _memory(memory: Memory) -> Mapping[str, Json]:
    """The engine's names of the memory bounds."""
    named = {
        "Memory": memory.memory,
        "MemorySwap": memory.memory_swap,
        "MemorySwappiness": memory.memory_swappiness,
        "MemoryReservation": memory.memory_reservation,
        "KernelMemory": memory.kernel_memory,
        "OomKillDisable": memory.oom_kill_disable,
    }
    return {name: value for name, value in named.items() if value is not None}


def _device(request: Mapping[str, Json]) -> dict[str, Json]:
    named = {
        "Driver": request["driver"],
        "Count": request["count"],
        "DeviceIDs": list(request["device_ids"]),
        "Capabilities": [list(group) for group in request["capabilities"]],
        "Options": request["options"],
    }
    return {name: value for name, value in named.items() if value}


def _port(binding: str) -> tuple[str, dict[str, str]]:
    """`[ip:]hostPort:containerPort[/proto]` as the container's port and the host's."""
    outside, _, inside = binding.rpartition(":")
    address, _, port = outside.rpartition(":")
    return (inside if "/" in inside else f"{inside}/tcp"), {"HostIp": address, "HostPort": port}


def registry_login(properties: DockerProperties, image: str) -> dict[str, str] | None:
    """The login to pull an image with: the credentials given, or those that `config` holds for its registry."""
    first = image.split("/")[0]
    registry = first if "/" in image and ("." in first or ":" in first or first == "localhost") else HUB
    given = properties.credentials
    if given is None:
        return _login_of_config(properties.config, registry)
    login = {
        "serveraddress": given.registry or registry,
        "username": given.username,
        "password": given.password,
        "registrytoken": given.registry_token,
        "identitytoken": given.identity_token,
        **_opened(given.auth),
    }
    return {name: value for name, value in login.items() if value}


def _login_of_config(config: Json, registry: str) -> dict[str, str] | None:
    if not config:
        return None
    try:
        auths = (json.loads(config) if isinstance(config, str) else config).get("auths", {})
        entry = auths.get(registry) or auths.get(f"https://{registry}") or (auths.get("docker.io") if registry == HUB else None)
        return None if entry is None else {"serveraddress": registry, **{k: str(v) for k, v in entry.items() if k != "auth"}, **_opened(entry.get("auth"))}
    except (ValueError, AttributeError) as err:
        raise JobRejected(f"the Docker runner's `config` is no docker config.json: {err}") from err


def _opened(auth: str | None) -> dict[str, str]:
    if not auth:
        return {}
    try:
        user, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError as err:
        raise JobRejected("a registry's `auth` is not the base64 of user:password") from err
    return {"username": user, "password": password}
