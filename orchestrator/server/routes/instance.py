"""Kestra's instance API of worker groups: their subscriptions, tokens, workers and capacity, and what services run."""

from __future__ import annotations

import platform
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, NotFound
from orchestrator.model.access_token import Role
from orchestrator.model.values import Json
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime.requests import DeclareGroup
from orchestrator.server import answers, documents, instance, minting
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_object
from orchestrator.server.fleet import declarations, groups_of, workers_of
from orchestrator.server.parts import Parts, parts_of
from orchestrator.server.problems import BadArgument
from orchestrator.server.routes.worker_groups import forget

router = APIRouter(prefix="/api/v1/instance")
GROUPS = "/worker-groups"


async def declared_group(parts: Parts, key: str) -> tuple[WorkerGroup, dict[str, Any]]:
    """A declared group and how it fares. Raises NotFound."""
    fleet = await parts.executor.fleet()
    found = declarations(fleet).get(key) if key else None
    if found is None:
        raise NotFound(f"worker group '{key}' is not declared")
    return found, next(group for group in groups_of(fleet) if group["key"] == key)


async def _group(request: Request, key: str) -> Response:
    parts = parts_of(request)
    return answers.made(instance.group(*await declared_group(parts, key), await minting.kept(parts)))


async def _change(request: Request, group: WorkerGroup) -> Response:
    await parts_of(request).executor.declare_group(DeclareGroup(group=group, replace=True))
    return await _group(request, group.key)


@router.get(GROUPS, response_model=None)
async def worker_groups(request: Request) -> Response:
    parts = parts_of(request)
    fleet, tokens = await parts.executor.fleet(), await minting.kept(parts)
    declared, shown = declarations(fleet), {group["key"]: group for group in groups_of(fleet)}
    return answers.made({"workerGroups": [instance.group(declared[key], shown[key], tokens) for key in sorted(filter(None, declared))]})


@router.post(GROUPS, response_model=None)
async def create(request: Request) -> Response:
    """Declare one; a group that is known by its queue only keeps the queue's tags."""
    parts, body = parts_of(request), await json_object(request)
    made = documents.read(WorkerGroup, {name: body.get(name) for name in ("name", "description")}, key=_named(body))
    before = declarations(await parts.executor.fleet()).get(made.key)
    if before is not None and before.source == "queue":
        made = made.model_copy(update={"tags": before.tags})
    await parts.executor.declare_group(DeclareGroup(group=instance.subscribed(made, body.get("subscriptions") or [])))
    return await _group(request, made.key)


def _named(body: dict[str, Json]) -> str:
    if not isinstance(body.get("id"), str) or not body["id"] or not body.get("name"):
        raise BadArgument("a worker group has an `id` and a `name`")
    return str(body["id"])


@router.get(GROUPS + "/{key}", response_model=None)
async def worker_group(request: Request, key: str) -> Response:
    return await _group(request, key)


@router.put(GROUPS + "/{key}", response_model=None)
async def update(request: Request, key: str) -> Response:
    """Change its name, description and subscriptions; all else of it stays."""
    parts, body = parts_of(request), await json_object(request)
    before, _ = await declared_group(parts, key)
    changes = {"name": body.get("name") or before.name, "description": body.get("description"), "source": "api"}
    return await _change(request, instance.subscribed(before.model_copy(update=changes), body.get("subscriptions") or []))


@router.delete(GROUPS + "/{key}", response_model=None)
async def delete(request: Request, key: str) -> Response:
    await forget(parts_of(request), key, force=Asked(request).flag("force", default=False))
    return answers.empty(204)


# --- subscriptions


@router.post(GROUPS + "/{key}/subscriptions", response_model=None)
async def subscribe(request: Request, key: str) -> Response:
    body = await json_object(request)
    group, _ = await declared_group(parts_of(request), key)
    return await _change(request, instance.subscribed(group, [body]))


@router.patch(GROUPS + "/{key}/subscriptions/{queue}", response_model=None)
async def change_subscription(request: Request, key: str, queue: str) -> Response:
    body = await json_object(request)
    group, _ = await declared_group(parts_of(request), key)
    instance.refuse_other_queue(key, queue)
    return await _change(request, instance.with_share(group, body.get("reservedPercent"), body.get("mode")))


@router.delete(GROUPS + "/{key}/subscriptions/{queue}", response_model=None)
async def unsubscribe(request: Request, key: str, queue: str) -> Response:
    await declared_group(parts_of(request), key)
    instance.refuse_other_queue(key, queue)
    raise Conflict(f"the queue of worker group '{key}' is its own: it goes with the group")


# --- tokens, workers, capacity


@router.post(GROUPS + "/{key}/tokens", response_model=None)
async def mint(request: Request, key: str) -> Response:
    """A token with which machines join this group. Its text is in this answer and nowhere else."""
    parts, body = parts_of(request), await json_object(request)
    await declared_group(parts, key)
    text, token = await minting.mint(parts, Role.JOIN, body, group=key)
    return answers.made({"token": text, "details": minting.shown(token)})


@router.post(GROUPS + "/{key}/tokens/{token}/revoke", response_model=None)
async def revoke(request: Request, key: str, token: str) -> Response:
    await minting.end(parts_of(request), await _own_token(request, key, token))
    return await _group(request, key)


@router.delete(GROUPS + "/{key}/tokens/{token}", response_model=None)
async def delete_token(request: Request, key: str, token: str) -> Response:
    await minting.end(parts_of(request), await _own_token(request, key, token), delete=True)
    return answers.empty(204)


async def _own_token(request: Request, key: str, uid: str) -> str:
    """The uid of a token of the group. Raises NotFound."""
    parts = parts_of(request)
    await declared_group(parts, key)
    if not any(token.uid == uid and token.group == key for token in await minting.kept(parts)):
        raise NotFound(f"worker group '{key}' has no token {uid}")
    return uid


@router.get(GROUPS + "/{key}/workers", response_model=None)
async def workers(request: Request, key: str) -> Response:
    _, shown = await declared_group(parts_of(request), key)
    return answers.made({"workers": [instance.worker(found) for found in shown["workers"]]})


@router.get(GROUPS + "/{key}/capacity", response_model=None)
async def capacity(request: Request, key: str) -> Response:
    group, shown = await declared_group(parts_of(request), key)
    return answers.made(instance.capacity(group, shown, datetime.now(UTC)))


# --- services


async def _services(request: Request) -> list[dict[str, Any]]:
    parts = parts_of(request)
    version = str(parts.join_info()["server_version"]) if parts.join_info is not None else ""
    found = workers_of(await parts.executor.fleet())
    return instance.services(found, version=version, host=platform.node(), installation=parts.reader.installation().id, now=datetime.now(UTC))


@router.get("/services/search", response_model=None)
async def search_services(request: Request) -> Response:
    page, found = Asked(request).page(), await _services(request)
    start = (page.number - 1) * page.size
    return answers.made({"results": found[start : start + page.size], "total": len(found)})


@router.get("/services/active", response_model=None)
async def active_services(request: Request) -> Response:
    counts = Counter(one["type"] for one in await _services(request) if one["state"] == "RUNNING")
    return answers.made({"total": counts.total(), "services": [{"type": kind, "total": count} for kind, count in counts.items()]})


@router.get("/services/{service}", response_model=None)
async def service(request: Request, service: str) -> Response:
    found = next((one for one in await _services(request) if one["id"] == service), None)
    if found is None:
        raise NotFound(f"there is no service {service}")
    return answers.made(found)
