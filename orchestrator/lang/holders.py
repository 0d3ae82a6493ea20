"""What in a flow may say where work goes: the flow, a task, a trigger, a plugin default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from orchestrator.lang.shape import is_script
from orchestrator.lang.source import Path
from orchestrator.model.flow import PLACING
from orchestrator.model.values import Json
from orchestrator.sdk import Flowable, PollingTrigger, RealtimeTrigger, Trigger

PLACE_PROPERTIES = (*PLACING, "resources", "queueTimeout")


@dataclass(frozen=True)
class Holder:
    """Its properties as they count, its place in the text, and the class behind its type (None: unknown, or many)."""

    kind: Literal["flow", "task", "trigger", "default"]
    raw: Mapping[str, Json]
    path: Path = ()
    of_type: str = ""
    cls: type[BaseModel] | None = None
    forced: bool = False  # of a default

    @property
    def name(self) -> str:
        """As messages call it."""
        return str(self.raw.get("id") or self.type_name)

    @property
    def type_name(self) -> str:
        return self.of_type.rsplit(".", 1)[-1]

    @property
    def leads(self) -> bool:
        """Whether it is a task that only leads others."""
        return self._is(Flowable)

    @property
    def is_evaluated_by_server(self) -> bool:
        """Whether it is a trigger that no worker ever sees."""
        return self._is(Trigger) and not self._is(PollingTrigger) and not self._is(RealtimeTrigger)

    @property
    def goes_to_workers_only(self) -> bool:
        """Whether it is something that runs, and that no task runner can take."""
        return self.cls is not None and not self.leads and not self.is_evaluated_by_server and not is_script(self.cls)

    def _is(self, kind: type[BaseModel]) -> bool:
        return self.cls is not None and issubclass(self.cls, kind)
