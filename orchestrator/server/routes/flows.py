"""Flows: make, replace, read, find, remove."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from orchestrator.errors import Conflict, FlowInvalid, NotFound
from orchestrator.model.values import Json
from orchestrator.runtime.requests import DeleteFlow, SaveFlow
from orchestrator.server import answers, filters, shapes
from orchestrator.server.asked import Asked
from orchestrator.server.forms import read_body
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument, BadBody
from orchestrator.store.port import Condition, SavedFlow

router = APIRouter(prefix="/api/v1/flows")
YAML = ("application/x-yaml", "application/yaml", "text/yaml", "text/x-yaml", "text/plain")


async def source_of(request: Request) -> str:
    """The text of a flow sent as YAML or JSON. Raises BadBody when there is none."""
    try:
        text = (await read_body(request)).decode()
    except UnicodeDecodeError as err:
        raise BadBody("the flow is not UTF-8 text") from err
    if not text.strip():
        raise BadBody("a flow is expected as the body")
    return text


def is_json(request: Request) -> bool:
    """Whether the body was sent as JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"


@router.get("/search", response_model=None)
async def search(request: Request) -> Response:
    asked = Asked(request)
    conditions, page = filters.conditions(asked, filters.FLOWS), asked.page()
    found = await slowly(lambda: parts_of(request).reader.flows(conditions, page))
    return answers.page([shapes.flow(saved) for saved in found.rows], found.total)


@router.get("/distinct-namespaces", response_model=None)
async def distinct_namespaces(request: Request) -> Response:
    wanted = (Asked(request).text("q") or "").lower()
    found = await slowly(parts_of(request).reader.namespaces)
    return answers.made([name for name in found if wanted in name.lower()])


@router.get("/{namespace}", response_model=None)
async def of_namespace(request: Request, namespace: str) -> Response:
    found = await slowly(lambda: parts_of(request).reader.flows([Condition("namespace", "EQUALS", namespace)]))
    return answers.listing([shapes.flow(saved) for saved in found.rows])


@router.post("", response_model=None)
async def create(request: Request) -> Response:
    source = await source_of(request)
    try:
        saved = await parts_of(request).executor.save_flow(SaveFlow(source=source))
    except Conflict as err:
        raise FlowInvalid("id: Flow id already exists") from err
    return answers.stored(shapes.flow(saved, source=not is_json(request)))


@router.get("/{namespace}/{flow_id}", response_model=None)
async def get(request: Request, namespace: str, flow_id: str) -> Response:
    asked = Asked(request)
    saved = found_flow(parts_of(request), namespace, flow_id, asked.number("revision"), deleted=asked.flag("allowDeleted", default=False))
    return answers.stored(shapes.flow(saved, source=asked.flag("source", default=False)))


@router.put("/{namespace}/{flow_id}", response_model=None)
async def update(request: Request, namespace: str, flow_id: str) -> Response:
    source = await source_of(request)
    found_flow(parts_of(request), namespace, flow_id)
    saved = await parts_of(request).executor.save_flow(SaveFlow(source=source, update=True, namespace=namespace, flow_id=flow_id))
    return answers.stored(shapes.flow(saved, source=not is_json(request)))


@router.delete("/{namespace}/{flow_id}", response_model=None)
async def delete(request: Request, namespace: str, flow_id: str) -> Response:
    await parts_of(request).executor.delete_flow(DeleteFlow(namespace=namespace, flow_id=flow_id))
    return answers.empty(204)


@router.get("/{namespace}/{flow_id}/revisions", response_model=None)
async def revisions(request: Request, namespace: str, flow_id: str) -> Response:
    found = await slowly(lambda: parts_of(request).reader.revisions(namespace, flow_id))
    if not found or (found[-1].flow.deleted and not Asked(request).flag("allowDelete", default=False)):
        raise NotFound(f"Unable to find flow {namespace}_{flow_id}")
    return answers.listing([shapes.flow(saved, source=True) for saved in found])


@router.get("/{namespace}/{flow_id}/tasks/{task_id}", response_model=None)
async def task(request: Request, namespace: str, flow_id: str, task_id: str) -> Response:
    saved = found_flow(parts_of(request), namespace, flow_id, Asked(request).number("revision"))
    for raw in shapes.tasks_of(saved):
        if raw.get("id") == task_id:
            return answers.made(raw)
    raise NotFound(f"no task `{task_id}` in flow {namespace}.{flow_id}")


def found_flow(parts: Parts, namespace: str, flow_id: str, revision: int | None = None, *, deleted: bool = False) -> SavedFlow:
    """A flow by name. Raises NotFound; a deleted one is only found when asked for."""
    if revision is not None and not 0 < revision < 2**31:
        raise BadArgument("`revision` is a positive number")
    saved = parts.reader.flow(namespace, flow_id, revision, deleted=deleted)
    if saved is None:
        raise NotFound(f"Unable to find flow {namespace}_{flow_id}")
    return saved


def names(bodies: Json) -> list[tuple[str, str]]:
    """(namespace, id) of each entry of a bulk request. Raises BadBody for another shape."""
    try:
        return [(str(entry["namespace"]), str(entry["id"])) for entry in bodies]
    except (TypeError, KeyError) as err:
        raise BadBody("a list of {id, namespace} is expected") from err
