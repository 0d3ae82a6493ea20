"""What is told of workers and their groups, made of what the executor knows of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.errors import NotFound
from orchestrator.model.values import Json
from orchestrator.model.worker import OF_NODE, OF_TOKEN
from orchestrator.model.worker_group import WorkerGroup

DEFAULT_NAMES = ("_default", "default")  # how the default group, whose key is empty, is named in a path
_INTERNAL = ("orchestrator-", "ray.io/")  # labels that are nobody's business
ID_LENGTH = 12


def workers_of(fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those that are there, then those that were lost within the last hour."""
    present = [worker_of(worker, fleet["drains"].get(worker.get("nodeId"))) for worker in fleet["cluster"].get("workers", ())]
    named = {worker["name"] for worker in present}
    for worker in present:
        worker["since"] = fleet["since"].get(worker["name"])
    return [*present, *(worker_of(worker, None) for worker in fleet["lost"] if worker["name"] not in named)]


def worker_of(told: Mapping[str, Any], drain: Json) -> dict[str, Any]:
    """A worker with the id that people use, its own labels only, and how its drain stands."""
    labels = told.get("labels") or {}
    own = {key: value for key, value in labels.items() if not key.startswith(_INTERNAL) and key != "worker-group"}
    found = {**told, "id": str(told.get("nodeId", ""))[:ID_LENGTH] or told["name"], "labels": own, "token": labels.get(OF_TOKEN), "drain": drain}
    if OF_NODE in labels:
        found["joined"] = True  # there is a foreground on its machine, that leaves with it
    return {key: value for key, value in found.items() if value is not None}


def groups_of(fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every group that is declared, has a worker or has work waiting, the default group (key "") first."""
    declared = {group["key"]: group for group in fleet["declared"]}
    workers, queued = workers_of(fleet), fleet["cluster"].get("queued") or {}
    keys = {*declared, *queued, *(worker.get("group", "") for worker in workers)}
    further = _by_key(fleet["cluster"].get("groups"))
    return [_group(key, declared.get(key), [w for w in workers if w.get("group", "") == key], queued.get(key, 0), further.get(key, {})) for key in sorted(keys)]


def _group(key: str, declaration: Json, workers: list[dict[str, Any]], queued: int, further: Mapping[str, Any]) -> dict[str, Any]:
    up = [worker for worker in workers if worker.get("state") == "up"]
    found = {
        "key": key,
        "declared": declaration is not None,
        "declaration": declaration,
        "workers": workers,
        "slots": sum(worker.get("slots", 0) for worker in up),
        "used": sum(worker.get("used", 0) for worker in up),
        "queued": queued,
    }
    return {**{name: value for name, value in further.items() if name not in found}, **{name: value for name, value in found.items() if value is not None}}


def _by_key(told: Json) -> Mapping[str, Mapping[str, Any]]:
    """What else the executor tells of groups, be it a map by key or a list."""
    if isinstance(told, Mapping):
        return {key: value for key, value in told.items() if isinstance(value, Mapping)}
    return {one.get("key", ""): one for one in told or () if isinstance(one, Mapping)}


def group_of(fleet: Mapping[str, Any], named: str) -> dict[str, Any]:
    """One of `groups_of`. Raises NotFound."""
    groups = {group["key"]: group for group in groups_of(fleet)}
    key = key_of(named, groups)
    if key not in groups:
        raise NotFound(f"worker group '{named}' is not declared, has no worker, and nothing waits for it")
    return groups[key]


def key_of(named: str, known: Iterable[str]) -> str:
    """The key behind a name in a path: the default group is `_default`, or `default` where no group has that key."""
    return "" if named in DEFAULT_NAMES and named not in known else named


def declarations(fleet: Mapping[str, Any]) -> Mapping[str, WorkerGroup]:
    """The declared groups by key."""
    return {group["key"]: WorkerGroup.model_validate(group) for group in fleet["declared"]}
