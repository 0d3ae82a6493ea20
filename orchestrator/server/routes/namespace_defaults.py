"""What a namespace says of where its work goes, and of the plugins of its flows."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.runtime.requests import NamespaceDefaults
from orchestrator.server import answers, documents
from orchestrator.server.bodies import json_object
from orchestrator.server.parts import parts_of

router = APIRouter(prefix="/api/v1/namespaces/{namespace}/defaults")


@router.get("", response_model=None)
async def get(request: Request, namespace: str) -> Response:
    """Its own: those of the namespaces above are theirs. Empty when it says nothing."""
    return answers.made(await parts_of(request).executor.namespace_defaults(NamespaceDefaults(namespace=namespace)))


@router.put("", response_model=None)
async def put(request: Request, namespace: str) -> Response:
    """Replace them: `workerGroup`, `workerSelector` or `placement`, and `pluginDefaults`."""
    defaults = documents.namespace_defaults(await json_object(request))
    return answers.made(await parts_of(request).executor.namespace_defaults(NamespaceDefaults(namespace=namespace, defaults=defaults)))


@router.delete("", response_model=None)
async def delete(request: Request, namespace: str) -> Response:
    """Remove them. What the server's configuration file says of the namespace holds then."""
    await parts_of(request).executor.namespace_defaults(NamespaceDefaults(namespace=namespace, defaults={}))
    return answers.empty(204)
