"""Files for running work, with the token of its execution."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotAllowed, NotFound
from orchestrator.model import internal_paths
from orchestrator.model.file_uri import FileUri, safe_name, slug
from orchestrator.runtime.requests import DeleteFiles, PutFile
from orchestrator.server import answers, namespace_files
from orchestrator.server.asked import Asked
from orchestrator.server.files import sent
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument
from orchestrator.server.routes.execution_files import found_file
from orchestrator.server.routes.executions import found_execution
from orchestrator.server.run_grants import flow_of, grant_of
from orchestrator.store.port import StoredFile

router = APIRouter()
CACHE = "cache"  # the kind of files that a flow keeps from one execution to the next
MOST_CACHED = 500  # of a flow; what was kept first goes first
MOST_ABOVE = 101  # executions that start each other, one below the other


@router.put(internal_paths.FILES, response_model=None)
async def put(request: Request, execution_id: str) -> Response:
    """Keep a file of the execution. Each gets a folder of its own, so that two of one name do not collide."""
    asked, parts = Asked(request), parts_of(request)
    namespace, flow_id = flow_of(request, execution_id)
    folder = f"/tasks/{slug(asked.text('task') or 'files')}/{safe_name(asked.text('taskRun') or 'run')}/{secrets.token_hex(6)}"
    path = f"{folder}/{safe_name(asked.required('name'))}"
    with parts.blobs.draft() as draft:
        async for chunk in request.stream():
            await asyncio.to_thread(draft.write, chunk)
        blob, size = await asyncio.to_thread(draft.keep)
    await parts.executor.put_file(PutFile(kind="execution", owner=execution_id, path=path, size=size, blob=blob))
    return answers.made({"uri": str(FileUri(namespace=namespace, flow_id=flow_id, execution_id=execution_id, path=path))})


@router.get(internal_paths.FILES, response_model=None)
async def get(request: Request, execution_id: str) -> Response:
    return await sent(parts_of(request).blobs, _file(request, execution_id, Asked(request).required("uri")))


@router.delete(internal_paths.FILES, response_model=None)
async def delete(request: Request, execution_id: str) -> Response:
    """Remove a file of this very execution; another's may only be read."""
    parts, uri = parts_of(request), _uri(Asked(request).required("uri"))
    if uri.execution_id != execution_id:
        raise NotAllowed(f"{uri} belongs to another execution")
    file = parts.reader.file("execution", execution_id, uri.path)
    if file is not None:
        await _forget(parts, [file])
    return answers.made({"deleted": file is not None})


@router.post(internal_paths.FILES_PURGE, response_model=None)
async def purge(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    namespace, flow_id = flow_of(request, execution_id)
    files = [file for file in await slowly(lambda: parts.reader.files("execution", execution_id)) if not file.directory]
    await _forget(parts, files)
    uris = [FileUri(namespace=namespace, flow_id=flow_id, execution_id=execution_id, path=file.path) for file in files]
    return answers.made({"uris": [str(uri) for uri in uris]})


@router.get(internal_paths.FILE_SIZE, response_model=None)
async def size(request: Request, execution_id: str) -> Response:
    return answers.made({"size": _file(request, execution_id, Asked(request).required("uri")).size})


@router.get(internal_paths.CACHE, response_model=None)
async def cached(request: Request, execution_id: str) -> Response:
    """What the execution's flow keeps under a name, unless it is older than asked for."""
    asked, parts = Asked(request), parts_of(request)
    file = parts.reader.file(CACHE, _cache_owner(request, execution_id), "/" + asked.required("name"))
    ttl = asked.text("ttl")
    if file is None or (ttl is not None and datetime.now(UTC) - file.modified > timedelta(seconds=float(ttl))):
        raise NotFound("nothing is kept under this name")
    return await sent(parts.blobs, file)


@router.put(internal_paths.CACHE, response_model=None)
async def keep_cached(request: Request, execution_id: str) -> Response:
    parts, owner, path = parts_of(request), _cache_owner(request, execution_id), "/" + Asked(request).required("name")
    with parts.blobs.draft() as draft:
        async for chunk in request.stream():
            await asyncio.to_thread(draft.write, chunk)
        blob, size = await asyncio.to_thread(draft.keep)
    before = parts.reader.file(CACHE, owner, path)
    await parts.executor.put_file(PutFile(kind=CACHE, owner=owner, path=path, size=size, blob=blob))
    if before is not None:
        await asyncio.to_thread(parts.blobs.remove, before.blob)
    kept = [file for file in await slowly(lambda: parts.reader.files(CACHE, owner)) if not file.directory]
    await _forget(parts, sorted(kept, key=lambda file: file.modified, reverse=True)[MOST_CACHED:])
    return answers.empty(204)


def _cache_owner(request: Request, execution_id: str) -> str:
    return "/".join(flow_of(request, execution_id))


@router.get(internal_paths.NAMESPACE_FILES, response_model=None)
async def of_namespace(request: Request, execution_id: str, namespace: str) -> Response:
    rows = await slowly(lambda: parts_of(request).reader.files(namespace_files.KIND, namespace))
    return answers.made([file.path for file in rows if not file.directory])


@router.get(internal_paths.NAMESPACE_FILE, response_model=None)
async def namespace_file(request: Request, execution_id: str, namespace: str) -> Response:
    parts, path = parts_of(request), namespace_files.clean(Asked(request).required("path"))
    file = namespace_files.found(parts, namespace, path)
    if file.directory:
        raise NotFound(f"`{path}` is a folder")
    try:
        return await sent(parts.blobs, file)
    except NotFound:  # replaced in this very moment
        return await sent(parts.blobs, namespace_files.found(parts, namespace, path))


@router.put(internal_paths.NAMESPACE_FILE, response_model=None)
async def put_namespace_file(request: Request, execution_id: str, namespace: str) -> Response:
    parts, path = parts_of(request), namespace_files.allowed(Asked(request).required("path"))
    with parts.blobs.draft() as draft:
        async for chunk in request.stream():
            await asyncio.to_thread(draft.write, chunk)
        blob, size = await asyncio.to_thread(draft.keep)
    await namespace_files.keep(parts, namespace, path, blob, size)
    return answers.empty(204)


@router.delete(internal_paths.NAMESPACE_FILE, response_model=None)
async def delete_namespace_file(request: Request, execution_id: str, namespace: str) -> Response:
    path = namespace_files.allowed(Asked(request).required("path"))
    return answers.made({"deleted": await namespace_files.forget(parts_of(request), namespace, path)})


async def _forget(parts: Parts, files: Sequence[StoredFile]) -> None:
    for file in files:
        await parts.executor.delete_files(DeleteFiles(kind=file.kind, owner=file.owner, path=file.path))
        await asyncio.to_thread(parts.blobs.remove, file.blob)


def _uri(text: str) -> FileUri:
    try:
        return FileUri.parse(text)
    except ValueError as err:
        raise BadArgument(str(err)) from err


def _file(request: Request, execution_id: str, text: str) -> StoredFile:
    """A file that this execution may read: its own, or one of those it comes from. Raises NotFound and NotAllowed."""
    uri = _uri(text)
    if uri.execution_id != execution_id and uri.execution_id not in _origins(request, execution_id):
        raise NotAllowed(f"{text} belongs to another execution")
    return found_file(parts_of(request), uri)


def _origins(request: Request, execution_id: str) -> set[str | None]:
    """This one, those that started it, each by the one before, those that they repeat, and the evaluations that found what started them."""
    if grant_of(request).namespace is not None:
        return set()
    parts, found, above = parts_of(request), set[str | None](), execution_id
    for _ in range(MOST_ABOVE):
        execution = found_execution(parts, above) if above == execution_id else parts.reader.execution(above)
        trigger = execution.trigger if execution is not None else None
        if execution is None:
            break
        started_by = trigger.variables.get("executionId") if trigger is not None else None
        found |= {above, trigger.evaluation_id if trigger is not None else None, execution.parent_id, execution.original_id}
        if not isinstance(started_by, str):
            break
        above = started_by
        found.add(above)
    return found - {None}
