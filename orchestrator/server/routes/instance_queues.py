"""Kestra's instance API of worker queues: one per worker group, of the same id, with the group's tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator.model.values import Json
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime.requests import DeclareGroup
from orchestrator.server import answers, documents, instance
from orchestrator.server.bodies import json_object
from orchestrator.server.fleet import declarations, groups_of
from orchestrator.server.parts import parts_of
from orchestrator.server.problems import BadArgument
from orchestrator.server.routes.instance import declared_group
from orchestrator.server.routes.worker_groups import forget

router = APIRouter(prefix="/api/v1")
QUEUES = "/instance/worker-queues"


@router.get(QUEUES, response_model=None)
async def queues(request: Request) -> Response:
    fleet = await parts_of(request).executor.fleet()
    declared, shown = declarations(fleet), {group["key"]: group for group in groups_of(fleet)}
    return answers.made({"workerQueues": [_queue(declared[key], shown[key]) for key in sorted(filter(None, declared))]})


def _queue(declared: WorkerGroup, shown: Mapping[str, Any]) -> Json:
    told = {**instance.queue(declared), "activeWorkers": sum(worker.get("state") == "up" for worker in shown["workers"])}
    return told if declared.description is None else {**told, "description": declared.description}


@router.post(QUEUES, response_model=None)
async def create(request: Request) -> Response:
    """Declare a worker group by the tags of its queue."""
    body = await json_object(request)
    if not isinstance(body.get("id"), str) or not body["id"]:
        raise BadArgument("a worker queue has an `id`")
    group = documents.read(WorkerGroup, _changes(body), key=body["id"], source="queue")
    await parts_of(request).executor.declare_group(DeclareGroup(group=group))
    return await _shown(request, group.key)


def _changes(body: Mapping[str, Json]) -> dict[str, Json]:
    instance.refuse_tenants(body)
    tags = body.get("tags")
    if not isinstance(tags, list) or not tags or not all(isinstance(tag, str) and tag for tag in tags):
        raise BadArgument("`tags` is a list of texts that is not empty")
    return {"tags": tags, **{name: body[name] for name in ("name", "description") if body.get(name)}}


async def _shown(request: Request, key: str) -> Response:
    return answers.made(_queue(*await declared_group(parts_of(request), key)))


@router.get(QUEUES + "/{queue}", response_model=None)
async def queue(request: Request, queue: str) -> Response:
    group, shown = await declared_group(parts_of(request), queue)
    return answers.made({**_queue(group, shown), "workers": [instance.worker(found) for found in shown["workers"]]})


@router.put(QUEUES + "/{queue}", response_model=None)
async def update(request: Request, queue: str) -> Response:
    body = await json_object(request)
    group, _ = await declared_group(parts_of(request), queue)
    changed = documents.read(WorkerGroup, {**group.model_dump(by_alias=True), **_changes(body)})
    await parts_of(request).executor.declare_group(DeclareGroup(group=changed, replace=True))
    return await _shown(request, queue)


@router.delete(QUEUES + "/{queue}", response_model=None)
async def delete(request: Request, queue: str) -> Response:
    """The group goes with its queue."""
    await declared_group(parts_of(request), queue)
    await forget(parts_of(request), queue, force=False)
    return answers.empty(204)


@router.get(QUEUES + "/{queue}/subscribers", response_model=None)
async def subscribers(request: Request, queue: str) -> Response:
    """The one group that takes what is sent to it."""
    group, _ = await declared_group(parts_of(request), queue)
    told = instance.subscription(group)
    one = {"workerGroupId": group.key, "workerGroupName": group.name or group.key, **{name: told[name] for name in ("reservedPercent", "mode") if name in told}}
    return answers.made({"subscribers": [one]})


@router.get("/worker-selectors/tags", response_model=None)
async def tags(request: Request) -> Response:
    """All that a `workerSelector` may name: the keys and tags of groups, and labels as `key=value`."""
    fleet = await parts_of(request).executor.fleet()
    found: set[str] = set()
    for group in groups_of(fleet):
        declared = group.get("declaration") or {}
        labels = [declared.get("labels") or {}, *(worker.get("labels") or {} for worker in group["workers"])]
        found |= {group["key"], *(declared.get("tags") or ()), *(f"{key}={value}" for some in labels for key, value in some.items())}
    return answers.made(sorted(filter(None, found)))
