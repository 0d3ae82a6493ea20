"""What is installed: plugins, schemas, the server itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from fastapi import APIRouter, Request, Response

from orchestrator import __version__, registry
from orchestrator.errors import NotFound
from orchestrator.lang import schema
from orchestrator.model.values import Json
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.problems import BadArgument

router = APIRouter(prefix="/api/v1")
_KINDS = {"tasks": "task", "triggers": "trigger", "conditions": "condition", "taskRunners": "task_runner", "storages": "storage", "secrets": "secret"}
_SCHEMAS: Mapping[str, Callable[[], Json]] = {"flow": schema.flow_schema}


@router.get("/configs", response_model=None)
async def configs(request: Request) -> Response:
    parts = parts_of(request)
    return answers.made(
        {
            "uuid": parts.reader.installation().id,
            "version": __version__,
            "isTaskRunEnabled": False,
            "isAnonymousUsageEnabled": False,
            "isTemplateEnabled": False,
            "isCustomDashboardsEnabled": False,
            "isBasicAuthEnabled": parts.settings.api_token is not None,
            "preview": {"initial": 100, "max": 5000},
            "systemNamespace": "system",
            "hiddenLabelsPrefixes": ["system."],
        }
    )


@router.get("/plugins", response_model=None)
async def plugins(request: Request) -> Response:
    found = _groups()
    asked = Asked(request)
    if asked.text("page") is None and asked.text("size") is None:
        return answers.made(found)
    page = asked.page()
    start = (page.number - 1) * page.size
    return answers.made({"results": found[start : start + page.size], "total": len(found)})


@router.get("/plugins/schemas/{kind}", response_model=None)
async def schema_of(request: Request, kind: str) -> Response:
    make = _SCHEMAS.get(kind.lower())
    if make is None:
        raise BadArgument(f"there is no schema of `{kind}`; one of {', '.join(_SCHEMAS)} can be asked for")
    return answers.made(await slowly(make))


@router.get("/schema", response_model=None)
async def flow_schema(request: Request) -> Response:
    return answers.made(await slowly(schema.flow_schema))


@router.get("/plugins/{name}", response_model=None)
async def documentation(request: Request, name: str) -> Response:
    kind = next((kind for kind in _KINDS.values() if registry.full_name(kind, name) is not None), None)
    if kind is None:
        raise NotFound(f"Class '{name}' doesn't exists ")
    found = await slowly(lambda: schema.type_schema(kind, name))
    return answers.made({"markdown": str(found.get("description", "")), "schema": {"properties": found, "outputs": {}, "definitions": found.get("$defs", {})}})


@cache
def _groups() -> list[Json]:
    """Types by the package that their names share, each group with every list."""
    groups: dict[str, dict[str, Json]] = {}
    for listed, kind in _KINDS.items():
        for name in registry.types(kind):
            group = ".".join(name.split(".")[:-2]) if name.startswith(registry.SHORT) else name.rpartition(".")[0]
            entry = groups.setdefault(
                group, {"name": group.rsplit(".", 1)[-1], "title": group, "group": group, "version": __version__, **{k: [] for k in _KINDS}}
            )
            entry[listed].append(name)
    return [entry | {"aliases": [], "categories": []} for _, entry in sorted(groups.items())]
