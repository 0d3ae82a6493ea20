"""Many flows at once: a namespace's whole set, enable, disable, delete, export, import."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from orchestrator.errors import FlowInvalid, OrchestratorError
from orchestrator.lang.source import documents
from orchestrator.runtime.requests import DeleteFlow, SaveFlow
from orchestrator.server import answers, filters, shapes
from orchestrator.server.asked import Asked
from orchestrator.server.bodies import json_body
from orchestrator.server.forms import read_form
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadBody
from orchestrator.server.routes.flow_checks import all_valid
from orchestrator.server.routes.flows import found_flow, is_json, names, source_of
from orchestrator.server.upsert import save_flow
from orchestrator.store.port import Condition, SavedFlow

router = APIRouter(prefix="/api/v1/flows")
_DISABLED = re.compile(r"(?m)^disabled:.*(?:\n|\Z)")


async def _sources(request: Request) -> Sequence[str]:
    if not is_json(request):
        return documents(await source_of(request))
    found = await json_body(request)
    if not isinstance(found, list):
        raise BadBody("a list of flows is expected")
    return [json.dumps(flow) for flow in found]


@router.post("/bulk", response_model=None)
async def save_many(request: Request) -> Response:
    """Save every flow of the body; with `delete`, the other flows of `namespace` go."""
    asked = Asked(request)
    namespace = asked.text("namespace")
    delete = asked.flag("delete", default=False) and namespace is not None
    return await _save_all(parts_of(request), await _sources(request), namespace, delete=delete, inside=asked.flag("allowNamespaceChild", default=True))


async def _save_all(parts: Parts, sources: Sequence[str], namespace: str | None, *, delete: bool, inside: bool) -> Response:
    around = await parts.executor.surroundings()
    flows = await slowly(lambda: all_valid(sources, around))
    keys = [flow.key for flow in flows]
    for flow in flows:
        if namespace is not None and flow.namespace != namespace and not (inside and flow.namespace.startswith(namespace + ".")):
            raise FlowInvalid(f"flow.namespace: The flow namespace doesn't match with {namespace}")
        if keys.count(flow.key) > 1:
            raise FlowInvalid(f"flow.id: Duplicate flow id {flow.id}")
    saved = [await save_flow(parts, source) for source in sources]
    gone = [there for there in _of(parts, namespace) if there.flow.key not in keys] if delete and namespace is not None else []
    for there in gone:
        await parts.executor.delete_flow(DeleteFlow(namespace=there.flow.namespace, flow_id=there.flow.id))
    deleted = [there.model_copy(update={"flow": there.flow.model_copy(update={"deleted": True})}) for there in gone]
    return answers.listing([shapes.flow(flow, source=True) for flow in [*saved, *deleted]])


def _of(parts: Parts, namespace: str) -> Sequence[SavedFlow]:
    return parts.reader.flows([Condition("namespace", "EQUALS", namespace)]).rows


async def _by_ids(request: Request) -> list[SavedFlow]:
    return [found_flow(parts_of(request), namespace, flow_id) for namespace, flow_id in names(await json_body(request))]


async def _by_query(request: Request) -> list[SavedFlow]:
    conditions = filters.conditions(Asked(request), filters.FLOWS)
    return list((await slowly(lambda: parts_of(request).reader.flows(conditions))).rows)


@router.post("/enable/by-ids", response_model=None)
async def enable_by_ids(request: Request) -> Response:
    return await _switch(parts_of(request), await _by_ids(request), disabled=False)


@router.post("/enable/by-query", response_model=None)
async def enable_by_query(request: Request) -> Response:
    return await _switch(parts_of(request), await _by_query(request), disabled=False)


@router.post("/disable/by-ids", response_model=None)
async def disable_by_ids(request: Request) -> Response:
    return await _switch(parts_of(request), await _by_ids(request), disabled=True)


@router.post("/disable/by-query", response_model=None)
async def disable_by_query(request: Request) -> Response:
    return await _switch(parts_of(request), await _by_query(request), disabled=True)


async def _switch(parts: Parts, chosen: Sequence[SavedFlow], *, disabled: bool) -> Response:
    """Say so in the flow's own source, as its author would; those that are so already do not count."""
    changed = [saved for saved in chosen if saved.flow.disabled is not disabled]
    for saved in changed:
        source = switched(saved.source, disabled=disabled)
        await parts.executor.save_flow(SaveFlow(source=source, update=True, namespace=saved.flow.namespace, flow_id=saved.flow.id, was_accepted=True))
    return answers.made({"count": len(changed)})


def switched(source: str, *, disabled: bool) -> str:
    """A flow's source with its `disabled` as wanted, YAML or JSON."""
    if source.lstrip().startswith("{"):
        return json.dumps({**json.loads(source), "disabled": disabled})
    without = _DISABLED.sub("", source)
    return without.rstrip("\n") + "\ndisabled: true\n" if disabled else without


@router.delete("/delete/by-ids", response_model=None)
async def delete_by_ids(request: Request) -> Response:
    return await _delete(parts_of(request), await _by_ids(request))


@router.delete("/delete/by-query", response_model=None)
async def delete_by_query(request: Request) -> Response:
    return await _delete(parts_of(request), await _by_query(request))


async def _delete(parts: Parts, chosen: Sequence[SavedFlow]) -> Response:
    for saved in chosen:
        await parts.executor.delete_flow(DeleteFlow(namespace=saved.flow.namespace, flow_id=saved.flow.id))
    return answers.made({"count": len(chosen)})


@router.post("/export/by-ids", response_model=None)
async def export_by_ids(request: Request) -> Response:
    return _exported(await _by_ids(request))


@router.get("/export/by-query", response_model=None)
async def export_by_query(request: Request) -> Response:
    return _exported(await _by_query(request))


def _exported(chosen: Sequence[SavedFlow]) -> Response:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for saved in chosen:
            archive.writestr(f"{saved.flow.namespace}.{saved.flow.id}.yml", saved.source)
    return Response(held.getvalue(), media_type="application/octet-stream", headers={"Content-Disposition": 'attachment; filename="flows.zip"'})


@router.post("/import", response_model=None)
async def import_flows(request: Request) -> Response:
    """Save the flows of an uploaded file or archive; the names of those that failed, unless `failOnError`."""
    parts = parts_of(request)
    strict = Asked(request).flag("failOnError", default=False)
    form = await read_form(request, parts.blobs)
    failed: list[str] = []
    try:
        for upload in form.uploads:
            for name, source in await slowly(lambda upload=upload: _texts(parts, upload.name, upload.blob)):  # type: ignore[misc]
                try:
                    await save_flow(parts, source)
                except OrchestratorError:
                    if strict:
                        raise
                    failed.append(name)
    finally:
        for upload in form.uploads:
            parts.blobs.remove(upload.blob)
    return answers.made(failed)


@router.post("/{namespace}", response_model=None)
async def save_namespace(request: Request, namespace: str) -> Response:
    """Make the body the flows of a namespace: those not in it are deleted, unless `delete` is false."""
    return await _save_all(parts_of(request), await _sources(request), namespace, delete=Asked(request).flag("delete", default=True), inside=False)


def _texts(parts: Parts, name: str, blob: str) -> list[tuple[str, str]]:
    """The sources in an upload, each with a name to tell it by. Raises BadBody for a file that is neither YAML nor an archive."""
    with parts.blobs.open(blob) as file:
        if name.lower().endswith(".zip"):
            try:
                with zipfile.ZipFile(file) as archive:
                    return [(entry, archive.read(entry).decode("utf-8", "replace")) for entry in archive.namelist() if entry.endswith((".yml", ".yaml"))]
            except zipfile.BadZipFile as err:
                raise BadBody(f"the archive cannot be read: {err}") from err
        return [(str(index), text) for index, text in enumerate(documents(file.read().decode("utf-8", "replace")))]
