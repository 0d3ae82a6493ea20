"""Since when a task run costs something, and what for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from orchestrator.model.execution import PhaseName, TaskRun, Where
from orchestrator.model.price import MIB_PER_GIB, WORKER_GROUP
from orchestrator.model.values import Json


def begun_at(run: TaskRun) -> datetime | None:
    """Since when the present try has cost something; None when it has not begun."""
    if run.placement is None:
        return None
    if run.placement.where is Where.SUPERVISOR:
        return run.running_since
    return next((phase.at for phase in run.phases if phase.name is PhaseName.RECEIVED), None)


def price_key(run: TaskRun) -> Mapping[str, Json] | None:
    """What the price of its place is found by; None when its runner does not tell."""
    placement = run.placement
    if placement is None:
        return None
    if placement.where is Where.SUPERVISOR:
        return run.job.details.get("price") if run.job is not None else None
    key: dict[str, Json] = {"service": WORKER_GROUP, "machine": placement.group or "default"}
    if placement.resources is not None:
        key |= {"vcpu": placement.resources.cpu, "memory_mib": placement.resources.memory / (MIB_PER_GIB * MIB_PER_GIB)}
    return key
