"""The executor's counter for what is out there: shown, and removed where nobody owns it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from orchestrator.model.execution import TaskRun
from orchestrator.model.stock import Stock, Stocked
from orchestrator.model.values import Json, format_instant
from orchestrator.runtime import requests as asked
from orchestrator.runtime.executor import Executor
from orchestrator.runtime.reaping import ownership

_LABELS = ("execution-id", "taskrun-id", "task-id", "flow-id", "namespace")


class Stocktaking:
    """One method per request of `requests`, JSON text in and out."""

    def __init__(self, executor: Executor) -> None:
        self._reaping = executor.reaping

    async def runners(self, text: str) -> str:
        """{"found": [...], "troubles": [...]}: everything under our labels, whose it is, and which back ends could not be asked."""
        return json.dumps(self._shown(await self._reaping.look()))

    async def reap(self, text: str) -> str:
        """Remove what nobody owns, at once. Answer: as `runners` of what was orphaned, and "removed", empty for a dry run."""
        request = asked.ReapRunners.model_validate_json(text)
        seen = await self._reaping.look()
        orphans = self._reaping.orphans(seen)
        shown = self._shown(seen.model_copy(update={"stocked": tuple(one for one in seen.stocked if one.found.key in orphans)}))
        shown["folders"] = sorted(orphans.intersection(seen.folders))
        if request.dry_run or not orphans:
            return json.dumps({**shown, "removed": [], "dryRun": request.dry_run})
        done = await self._reaping.remove(orphans)
        troubles = [one.model_dump() for one in done.troubles]
        return json.dumps({**shown, "removed": sorted(done.removed), "troubles": troubles, "dryRun": False})

    def _shown(self, seen: Stock) -> dict[str, Json]:
        owners = self._reaping.owners()
        return {"found": [_shown(one, owners) for one in seen.stocked], "troubles": [one.model_dump() for one in seen.troubles]}


def _shown(one: Stocked, owners: Mapping[str, TaskRun]) -> Json:
    found, run = one.found, owners.get(one.found.key)
    about = {_camel(name): value for name in _LABELS if (value := _label(found.labels, name)) is not None}
    if run is not None:
        about |= {"executionId": run.execution_id, "taskrunId": run.id, "taskId": run.task_id, "flowId": run.flow_id, "namespace": run.namespace}
    told = {"key": found.key, "kind": found.kind, "name": found.name, "state": found.state, "ownership": ownership(one, owners)}
    created = {"created": format_instant(found.created)} if found.created is not None else {}
    return {**told, **created, "keep": found.keep, "runner": one.runner, "backend": one.backend, **about, "labels": dict(found.labels)}


def _label(labels: Mapping[str, str], name: str) -> str | None:
    """A label by its name, whatever prefix its back end wants."""
    return next((value for key, value in labels.items() if key in (name, f"kestra.io/{name}", f"kestra-{name}")), None)


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)
