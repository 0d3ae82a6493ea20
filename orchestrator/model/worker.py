"""Worker groups and workers as the engine, the API and the command line see them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from orchestrator.model.values import Frozen, Instant

DEFAULT_GROUP = ""  # the key of the default group
OF_NODE = "orchestrator-node"  # the label by which a machine that has joined knows its own node
OF_TOKEN = "orchestrator-token"  # noqa: S105 - the label with the uid of the token that it joined with


class WorkerState(StrEnum):
    STARTING = "starting"  # its machine is there, it is not yet
    UP = "up"
    DRAINING = "draining"
    SILENT = "silent"  # its machine is gone or out of reach; what it held is sent elsewhere once it has surely stopped
    LOST = "lost"


class WorkerInfo(Frozen):
    """One always-on worker. `name` is its actor's name; `slots` counts what it may run at once.

    `resources` are its machine's own, as Ray counts them (`CPU`, `GPU`, `memory` in bytes); `resources_used` is what runs
    with resources of their own hold of them.
    """

    name: str
    group: str = DEFAULT_GROUP
    node_id: str = Field(alias="nodeId")
    hostname: str = ""
    slots: int
    used: int = 0
    state: WorkerState = WorkerState.UP
    labels: Mapping[str, str] = Field(default_factory=dict)
    resources: Mapping[str, float] = Field(default_factory=dict)
    resources_used: Mapping[str, float] = Field(default_factory=dict, alias="resourcesUsed")
    version: str = ""
    engine: str = ""  # the Docker engine that its machine reaches, as handles name it
    seen: Instant | None = None


def resource_of(group: str) -> str:
    """The name of the custom Ray resource that stands for a group; no key can clash with the default's."""
    return f"worker_group:{group or '_default'}"
