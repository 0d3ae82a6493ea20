"""What a job may ask for, and how it is shared out between its containers. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.sdk import JobRejected
from orchestrator_plugins.aws.properties import BatchProperties

# vCPUs -> MiB from, to, in steps of. Source: the Batch API's reference of ResourceRequirement.
_FARGATE: dict[float, tuple[int, int, int]] = {
    0.5: (1024, 4096, 1024),
    1: (2048, 8192, 1024),
    2: (4096, 16384, 1024),
    4: (8192, 30720, 1024),
    8: (16384, 61440, 4096),
    16: (32768, 122880, 8192),
}
_SMALLEST = (512, 1024, 2048)  # MiB, with a quarter of a vCPU


@dataclass(frozen=True)
class Share:
    """What one container is given."""

    cpu: float
    memory_mib: int

    def requirements(self) -> list[dict[str, str]]:
        """As the API writes it."""
        return [{"type": "VCPU", "value": f"{self.cpu:g}"}, {"type": "MEMORY", "value": str(self.memory_mib)}]


@dataclass(frozen=True)
class Shares:
    """What the main container and each sidecar are given; together what was asked for."""

    main: Share
    sidecar: Share


def shares(properties: BatchProperties, *, fargate: bool, sidecars: int) -> Shares:
    """Raises JobRejected when no such machine can be had, or too little is left for the command."""
    whole = Share(properties.resources.request.cpu, properties.resources.request.memory)
    _check(whole, fargate=fargate)
    asked = properties.sidecar_resources.request
    cpu, memory = asked.cpu or (0.25 if fargate else 1.0), asked.memory or (512 if fargate else 128)
    main = Share(whole.cpu - sidecars * cpu, whole.memory_mib - sidecars * memory)
    if main.cpu <= 0 or main.memory_mib <= 0:
        least = f"{sidecars * cpu:g} vCPU and {sidecars * memory} MiB"
        remedy = "raise `resources.request` or lower `sidecarResources.request`"
        raise JobRejected(f"`resources.request` leaves nothing for the command: its {sidecars} file sidecars take {least} of it; {remedy}")
    return Shares(main, Share(cpu, memory))


def _check(whole: Share, *, fargate: bool) -> None:
    if not fargate:
        if whole.cpu != int(whole.cpu):
            raise JobRejected(f"`resources.request.cpu: {whole.cpu:g}`: EC2 gives whole vCPUs")
        return
    if whole.cpu == 0.25:
        allowed = whole.memory_mib in _SMALLEST
        told = ", ".join(map(str, _SMALLEST))
    elif whole.cpu in _FARGATE:
        low, high, step = _FARGATE[whole.cpu]
        allowed = low <= whole.memory_mib <= high and (whole.memory_mib - low) % step == 0
        told = f"{low} to {high} in steps of {step}"
    else:
        raise JobRejected(f"`resources.request.cpu: {whole.cpu:g}`: Fargate has tasks of 0.25, 0.5, 1, 2, 4, 8 and 16 vCPUs")
    if not allowed:
        raise JobRejected(f"`resources.request.memory: {whole.memory_mib}`: with {whole.cpu:g} vCPU Fargate gives {told} MiB")
