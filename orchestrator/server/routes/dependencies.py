"""Which flows start which, as a graph."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, Request, Response

from orchestrator.lang.dependencies import Edge, Key, around, edges_of
from orchestrator.model.values import Json
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.routes.flows import found_flow

router = APIRouter(prefix="/api/v1")


@router.get("/flows/{namespace}/{flow_id}/dependencies", response_model=None)
async def of_flow(request: Request, namespace: str, flow_id: str) -> Response:
    key = found_flow(parts_of(request), namespace, flow_id).flow.key
    found = await slowly(lambda: _around(parts_of(request), [key], Asked(request)))
    return answers.made(_graph([key], found))


@router.get("/namespaces/{namespace}/dependencies", response_model=None)
async def of_namespace(request: Request, namespace: str) -> Response:
    def graph() -> Json:
        parts = parts_of(request)
        keys = [saved.flow.key for saved in parts.reader.flows().rows if saved.flow.namespace == namespace]
        return _graph(keys, _around(parts, keys, Asked(request)))

    return answers.made(await slowly(graph))


def _around(parts: Parts, keys: Iterable[Key], asked: Asked) -> list[Edge]:
    edges = edges_of([saved.flow for saved in parts.reader.flows().rows])
    return around(edges, keys, targets_only=asked.flag("destinationOnly", default=False), all_of_them=asked.flag("expandAll", default=False))


def _graph(keys: Iterable[Key], edges: Iterable[Edge]) -> Json:
    """The flows asked about, and those at the other ends of the edges."""
    nodes = dict.fromkeys([*keys, *(key for edge in edges for key in (edge.source, edge.target))])
    return {
        "nodes": [{"uid": _uid(key), "namespace": key[0], "id": key[1]} for key in nodes],
        "edges": [{"source": _uid(edge.source), "target": _uid(edge.target), "relation": edge.relation.value} for edge in edges],
    }


def _uid(key: Key) -> str:
    return "_".join(key)
