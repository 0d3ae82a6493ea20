"""How another machine joins, learns how its worker fares, and leaves; and the cluster's own token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, NotAllowed, Unavailable
from orchestrator.model.access_token import Role
from orchestrator.model.values import Json
from orchestrator.model.versions import Versions, misfits
from orchestrator.model.worker_group import GROUP_KEY_PATTERN, is_group_key
from orchestrator.runtime.requests import Join, JoinedNode
from orchestrator.server import answers
from orchestrator.server.auth import is_loopback
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import Parts, parts_of
from orchestrator.server.problems import BadArgument
from orchestrator.server.roles import caller_of
from orchestrator.server.routes.workers import drain_of, shown

router = APIRouter(prefix="/api/v1/cluster")
_TOLD = ("session", "address", "server_version", "ray_version", "python_version")  # of the cluster, to the administrator


@router.get("", response_model=None)
async def cluster(request: Request) -> Response:
    """Where the cluster is and what it consists of; not what opens it."""
    info = _info(parts_of(request))
    return answers.made({name: info[name] for name in _TOLD if info.get(name)})


@router.post("/join", response_model=None)
async def join(request: Request) -> Response:
    """Where the cluster is and what opens it, for a machine whose versions fit; and the mark that its node is to bear, with the
    token that opens what concerns that node.

    Raises Conflict when they do not, NotFound for an unknown group, NotAllowed when the token is not for it.
    """
    parts, caller = parts_of(request), caller_of(request)
    _refuse_stranger(request, parts)
    body = await json_object(request, default={})
    group = _checked(body)
    info = _info(parts)
    _check_versions(body.get("versions") or {}, info)
    if body.get("create") and caller.role is not Role.ADMIN:
        raise NotAllowed("only the administrator's token declares a worker group: join without --create, or with the server's own token")
    await parts.executor.join(Join(group=group, create=bool(body.get("create")), token=caller.token))
    mark = secrets.token_hex(8)
    return answers.made({**info, "token": caller.token, "mark": mark, "node_token": parts.node_tokens.mint(mark)})


def _refuse_stranger(request: Request, parts: Parts) -> None:
    peer = request.client.host if request.client is not None else ""
    if parts.settings.api_token is None and not is_loopback(f"[{peer}]" if ":" in peer else peer):
        raise NotAllowed("without an API token only this machine may join; set ORCHESTRATOR_API_TOKEN on the server and give it with --api-token")


def _checked(body: Mapping[str, Any]) -> str:
    """The group that is to be joined. Raises BadArgument."""
    group, slots, labels = body.get("group") or "", body.get("slots"), body.get("labels")
    if not isinstance(group, str) or (group and not is_group_key(group)):
        raise BadArgument(f'`group` must match "{GROUP_KEY_PATTERN}"')
    if (slots is not None and (not isinstance(slots, int) or isinstance(slots, bool) or slots < 1)) or (labels is not None and not isinstance(labels, dict)):
        raise BadArgument("`slots` is a positive number and `labels` is a map")
    return group


def _info(parts: Parts) -> Mapping[str, Json]:
    if parts.join_info is None:
        raise Unavailable("this server has no cluster that could be joined")
    return parts.join_info()


def _check_versions(told: Mapping[str, Json], info: Mapping[str, Json]) -> None:
    server = Versions(orchestrator=str(info["server_version"]), ray=str(info["ray_version"]), python=str(info["python_version"]))
    theirs = {"orchestrator": told.get("orchestrator", told.get("server")), "ray": told.get("ray"), "python": told.get("python")}
    if not all(theirs.values()):
        raise BadArgument("`versions` names those of orchestrator, ray and python on the machine")
    wrong = misfits(Versions(**{name: str(version) for name, version in theirs.items()}), server)
    if wrong:
        raise Conflict(f"this machine cannot join: {', '.join(wrong)}; install the server's versions")


@router.get("/joined/{mark}", response_model=None)
async def joined(request: Request, mark: str) -> Response:
    """How a machine's own worker fares, and which cluster is the server's now: another session means that it has moved."""
    parts = parts_of(request)
    told = await parts.executor.joined(JoinedNode(mark=mark))
    worker = shown(told) if told["worker"] is not None else None
    return answers.made({"session": _info(parts).get("session"), "worker": worker, "drain": told["drain"], "ask_again": told["ask_again"]})


@router.post("/joined/{mark}/drain", response_model=None)
async def drain(request: Request, mark: str) -> Response:
    """Drain a machine's own worker. Raises NotFound when there is none."""
    return answers.made(shown(await parts_of(request).executor.drain(await drain_of(request, mark=mark))))


@router.post("/rotate-token", response_model=None)
async def rotate_token(request: Request) -> Response:
    """Have the cluster started anew with another token: machines that joined must join again."""
    session = _info(parts_of(request)).get("session")
    await parts_of(request).executor.rotate_token()
    return answers.made({"session": session}, 202)
