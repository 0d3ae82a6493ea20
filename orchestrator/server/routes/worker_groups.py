"""Worker groups: declared, changed, and shown with their workers and what waits for them."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Request, Response

from orchestrator.model.values import Json
from orchestrator.runtime.requests import DeclareGroup, ForgetGroup
from orchestrator.server import answers, documents
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.fleet import group_of, groups_of, key_of
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.store.port import SavedFlow

router = APIRouter(prefix="/api/v1")


@router.get("/worker-groups", response_model=None)
async def worker_groups(request: Request) -> Response:
    """Every group that is declared, has a worker or has work waiting, the default group (key "") first."""
    return answers.made({"workerGroups": groups_of(await parts_of(request).executor.fleet())})


@router.post("/worker-groups", response_model=None)
async def create(request: Request) -> Response:
    group = documents.group(await json_object(request))
    await parts_of(request).executor.declare_group(DeclareGroup(group=group))
    return await _shown(request, group.key)


@router.get("/worker-groups/{key}", response_model=None)
async def worker_group(request: Request, key: str) -> Response:
    return await _shown(request, key)


@router.put("/worker-groups/{key}", response_model=None)
async def update(request: Request, key: str) -> Response:
    """Replace its declaration."""
    parts = parts_of(request)
    body = await json_object(request)
    found = key_of(key, _declared(await parts.executor.fleet()))
    group = documents.group(body, found)
    await parts.executor.declare_group(DeclareGroup(group=group, replace=True))
    return await _shown(request, key)


@router.delete("/worker-groups/{key}", response_model=None)
async def delete(request: Request, key: str) -> Response:
    """Undeclare it. With `force` also where flows name it or workers are there; the workers stay."""
    force = Asked(request).flag("force", default=False)
    await forget(parts_of(request), key, force=force)
    return answers.empty(204)


async def forget(parts: Parts, key: str, *, force: bool) -> None:
    """Undeclare a group. Raises NotFound, Conflict when it is in use."""
    found = key_of(key, _declared(await parts.executor.fleet()))
    named_by = () if force else await slowly(lambda: tuple(_naming(parts.reader.flows().rows, found)))
    await parts.executor.forget_group(ForgetGroup(key=found, named_by=named_by, force=force))


async def _shown(request: Request, key: str) -> Response:
    return answers.made(group_of(await parts_of(request).executor.fleet(), key))


def _declared(fleet: Json) -> set[str]:
    return {group["key"] for group in fleet["declared"]}


def _naming(flows: Iterable[SavedFlow], key: str) -> Iterable[str]:
    """The flows that send work to a group by its key, at any level."""
    return (f"{saved.flow.namespace}.{saved.flow.id}" for saved in flows if names_group(saved.flow.model_dump(mode="json", by_alias=True), key))


def names_group(value: Json, key: str) -> bool:
    """Whether `workerGroup: {key}` or a step's `workerGroup: key` stands anywhere within a flow."""
    if isinstance(value, list):
        return any(names_group(one, key) for one in value)
    if not isinstance(value, dict):
        return False
    named = value.get("workerGroup")
    return (named.get("key") if isinstance(named, dict) else named) == key or any(names_group(one, key) for one in value.values())
