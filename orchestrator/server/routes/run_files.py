"""Files for running work, with the token of its execution."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotAllowed, NotFound
from orchestrator.model import internal_paths
from orchestrator.model.file_uri import FileUri, safe_name
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


@router.put(internal_paths.FILES, response_model=None)
async def put(request: Request, execution_id: str) -> Response:
    """Keep a file of the execution. Each gets a folder of its own, so that two of one name do not collide."""
    asked, parts = Asked(request), parts_of(request)
    namespace, flow_id = flow_of(request, execution_id)
    folder = f"/tasks/{safe_name(asked.text('task') or 'files')}/{safe_name(asked.text('taskRun') or 'run')}/{secrets.token_hex(6)}"
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
    """The executions that started this one, or that it repeats, and the evaluation that found what started it."""
    if grant_of(request).namespace is not None:
        return set()
    execution = found_execution(parts_of(request), execution_id)
    trigger = execution.trigger
    started_by = trigger.variables.get("executionId") if trigger is not None else None
    listener = trigger.evaluation_id if trigger is not None else None
    return {started_by if isinstance(started_by, str) else None, listener, execution.parent_id, execution.original_id} - {None}
