"""What a trigger is to its author."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.model.flow import PlacementStep, WorkerGroupRef, WorkerSelector
from orchestrator.model.values import Json
from orchestrator.sdk.plugin import PluginModel


class Trigger(PluginModel):
    """The properties that every trigger has."""

    id: str
    type: str
    description: str | None = None
    disabled: bool = False
    inputs: Mapping[str, Json] | None = None
    stop_after: tuple[str, ...] = ()
    conditions: tuple[Mapping[str, Json], ...] = ()
    worker_group: WorkerGroupRef | None = None
    worker_selector: WorkerSelector | None = None
    placement: tuple[PlacementStep, ...] = ()
