"""Tokens for others than the administrator: made, listed, revoked, deleted."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.model.access_token import MINTED, Role
from orchestrator.server import answers, documents, minting
from orchestrator.server.bodies import json_object
from orchestrator.server.fleet import declarations, key_of
from orchestrator.server.parts import parts_of
from orchestrator.server.problems import BadArgument

router = APIRouter(prefix="/api/v1/tokens")
TOKEN = frozenset({"role", "group", "name", "description", "expiresAt"})


@router.get("", response_model=None)
async def tokens(request: Request) -> Response:
    return answers.made({"tokens": [minting.shown(token) for token in await minting.kept(parts_of(request))]})


@router.post("", response_model=None)
async def mint(request: Request) -> Response:
    """Make one. Its text is in this answer and nowhere else."""
    parts, body = parts_of(request), await json_object(request)
    documents.refuse_unknown(body, TOKEN, "a token")
    if body.get("role") not in MINTED:
        raise BadArgument(f"`role` is one of {', '.join(MINTED)}")
    group = body.get("group")
    if group is not None and not isinstance(group, str):
        raise BadArgument("`group` is a worker group's key")
    key = key_of(group, declarations(await parts.executor.fleet())) if group is not None else None
    text, token = await minting.mint(parts, Role(body["role"]), body, group=key)
    return answers.made({"token": text, "details": minting.shown(token)})


@router.post("/{token}/revoke", response_model=None)
async def revoke(request: Request, token: str) -> Response:
    """Let it open nothing any more; it stays listed."""
    revoked = await minting.end(parts_of(request), token)
    return answers.made(minting.shown(revoked) if revoked is not None else {})


@router.delete("/{token}", response_model=None)
async def delete(request: Request, token: str) -> Response:
    await minting.end(parts_of(request), token, delete=True)
    return answers.empty(204)
