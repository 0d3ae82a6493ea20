"""States that outlive executions: a map kept under a name, as an entry of the namespace's key-value store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from pydantic import Field

from orchestrator.sdk import AnyTask, Dynamic, Json, NotFound, Parsed, RunContext, Task, TaskFailed, Text

_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


class Named(AnyTask):
    """Which state a task is about."""

    name: Dynamic[Text] = Field("default", description="The state's name.")
    namespace: Dynamic[bool] = Field(False, description="Whether all flows of the namespace share it.")
    taskrun_value: Dynamic[bool] = Field(True, description="Whether each iteration of a loop has its own.")

    def state_key(self, ctx: RunContext) -> str:
        """The key of the entry: of the flow unless shared, of the name, and of the iteration's value."""
        flow = "" if ctx.render(self.namespace) else _UNSAFE.sub("-", ctx.info.flow_id.lower()).strip("-") + "_"
        value = ctx.info.value if ctx.render(self.taskrun_value) else None
        part = "" if value is None else "_" + hashlib.sha256(value.encode()).hexdigest()[:16]
        return f"{flow}states_tasks-states_{ctx.render(self.name)}{part}"


def _kept(ctx: RunContext, key: str) -> Mapping[str, Json] | None:
    try:
        found = ctx.keys.get(ctx.info.namespace, key)
    except NotFound:
        return None
    if not isinstance(found, Mapping):
        raise TaskFailed(f"the key '{key}' holds no state")
    return found


def _merged(old: Mapping[str, Json], new: Mapping[str, Json]) -> dict[str, Json]:
    """The old map with the new one put over it, maps within maps too."""
    found = dict(old)
    for key, value in new.items():
        before = found.get(key)
        found[key] = _merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return found


class Set(Named, Task):
    """Put a map over the state's data; the outputs are its `key` and the `count` of entries."""

    data: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(None, description="What to keep.", examples=[{"last": "{{ outputs.query.value }}"}])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        key = self.state_key(ctx)
        data = _merged(_kept(ctx, key) or {}, ctx.render(self.data) or {})
        ctx.keys.put(ctx.info.namespace, key, data)
        return {"count": len(data), "key": key}


class Get(Named, Task):
    """Give the state's `data` back, and the `count` of its entries."""

    error_on_missing: Dynamic[bool] = Field(False, description="Whether the task fails when there is no such state.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        data = _kept(ctx, self.state_key(ctx))
        if data is None and ctx.render(self.error_on_missing):
            raise TaskFailed(_missing(ctx, self))
        return {"count": len(data or {}), "data": dict(data or {})}


class Delete(Named, Task):
    """Remove the state; the output `deleted` says whether it was there."""

    error_on_missing: Dynamic[bool] = Field(False, description="Whether the task fails when there is no such state.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        deleted = ctx.keys.delete(ctx.info.namespace, self.state_key(ctx))
        if not deleted and ctx.render(self.error_on_missing):
            raise TaskFailed(_missing(ctx, self))
        return {"deleted": deleted}


def _missing(ctx: RunContext, about: Named) -> str:
    return f"there is no state '{ctx.render(about.name)}' of {'the namespace' if ctx.render(about.namespace) else 'the flow'}, and `errorOnMissing` is true"
