"""Workers: who is there, and how another machine joins."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, NotAllowed, Unavailable
from orchestrator.model.values import Json
from orchestrator.server import answers
from orchestrator.server.auth import is_loopback
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import parts_of
from orchestrator.server.problems import BadArgument

router = APIRouter(prefix="/api/v1")


@router.get("/workers", response_model=None)
async def workers(request: Request) -> Response:
    found = await parts_of(request).executor.cluster()
    return answers.made({"workers": found.get("workers", [])})


@router.get("/worker-groups", response_model=None)
async def worker_groups(request: Request) -> Response:
    """Every group that has a worker or has work waiting, the default group (key "") first."""
    found = await parts_of(request).executor.cluster()
    groups: dict[str, dict[str, Any]] = {}
    for worker in found.get("workers", []):
        group = groups.setdefault(worker.get("group", ""), _group(worker.get("group", "")))
        group["workers"].append(worker)
        if worker.get("state") == "up":
            group["slots"] += worker.get("slots", 0)
            group["used"] += worker.get("used", 0)
    for key, count in (found.get("queued") or {}).items():
        groups.setdefault(key, _group(key))["queued"] = count
    return answers.made({"workerGroups": [groups[key] for key in sorted(groups)]})


def _group(key: str) -> dict[str, Any]:
    return {"key": key, "workers": [], "slots": 0, "used": 0, "queued": 0}


@router.post("/cluster/join", response_model=None)
async def join(request: Request) -> Response:
    """Where the cluster is and what opens it, for a machine with the same versions. Raises Conflict when they differ."""
    parts = parts_of(request)
    peer = request.client.host if request.client is not None else ""
    if parts.settings.api_token is None and not is_loopback(f"[{peer}]" if ":" in peer else peer):
        raise NotAllowed("without an API token only this machine may join; set ORCHESTRATOR_API_TOKEN on the server and give it with --api-token")
    body = await json_object(request, default={})
    slots, labels = body.get("slots"), body.get("labels")
    if (slots is not None and (not isinstance(slots, int) or isinstance(slots, bool) or slots < 1)) or (labels is not None and not isinstance(labels, dict)):
        raise BadArgument("`slots` is a positive number and `labels` is a map")
    if parts.join_info is None:
        raise Unavailable("this server has no cluster that could be joined")
    info = parts.join_info()
    _check_versions(body.get("versions") or {}, info)
    return answers.made(info)


def _check_versions(theirs: Mapping[str, Json], ours: Mapping[str, Json]) -> None:
    """Ray refuses nodes of another version of itself or of Python, and two of our versions never work together."""
    expected = {
        "orchestrator": ours.get("server_version"),
        "ray": ours.get("ray_version"),
        "python": _minor(str(ours.get("python_version") or platform.python_version())),
    }
    told = {**theirs, "orchestrator": theirs.get("orchestrator", theirs.get("server"))}
    wrong = []
    for name, wanted in expected.items():
        given = told.get(name)
        shown = _minor(str(given)) if name == "python" and given is not None else given
        if given is not None and wanted is not None and shown != wanted:
            wrong.append(f"{name} {given} (the server has {wanted})")
    if wrong:
        raise Conflict(f"this machine cannot join: {', '.join(wrong)}; install the server's versions")


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
