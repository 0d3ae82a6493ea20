"""Files for running work, with the token of its execution."""

from __future__ import annotations

import asyncio
import secrets

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotAllowed, NotFound
from orchestrator.model import internal_paths
from orchestrator.model.file_uri import FileUri, safe_name
from orchestrator.runtime.requests import PutFile
from orchestrator.server import answers, namespace_files
from orchestrator.server.asked import Asked
from orchestrator.server.files import sent
from orchestrator.server.parts import Parts, parts_of, slowly
from orchestrator.server.problems import BadArgument
from orchestrator.server.routes.execution_files import found_file
from orchestrator.server.routes.executions import found_execution
from orchestrator.store.port import StoredFile

router = APIRouter()


@router.put(internal_paths.FILES, response_model=None)
async def put(request: Request, execution_id: str) -> Response:
    """Keep a file of the execution. Each gets a folder of its own, so that two of one name do not collide."""
    asked, parts = Asked(request), parts_of(request)
    execution = found_execution(parts, execution_id)
    folder = f"/tasks/{safe_name(asked.text('task') or 'files')}/{safe_name(asked.text('taskRun') or 'run')}/{secrets.token_hex(6)}"
    path = f"{folder}/{safe_name(asked.required('name'))}"
    with parts.blobs.draft() as draft:
        async for chunk in request.stream():
            await asyncio.to_thread(draft.write, chunk)
        blob, size = await asyncio.to_thread(draft.keep)
    await parts.executor.put_file(PutFile(kind="execution", owner=execution_id, path=path, size=size, blob=blob))
    return answers.made({"uri": str(FileUri(namespace=execution.namespace, flow_id=execution.flow_id, execution_id=execution_id, path=path))})


@router.get(internal_paths.FILES, response_model=None)
async def get(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    return sent(parts.blobs, _file(parts, execution_id, Asked(request).required("uri")))


@router.get(internal_paths.FILE_SIZE, response_model=None)
async def size(request: Request, execution_id: str) -> Response:
    return answers.made({"size": _file(parts_of(request), execution_id, Asked(request).required("uri")).size})


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
        return sent(parts.blobs, file)
    except NotFound:  # replaced in this very moment
        return sent(parts.blobs, namespace_files.found(parts, namespace, path))


def _file(parts: Parts, execution_id: str, text: str) -> StoredFile:
    """A file that this execution may read: its own, or one of those it comes from. Raises NotFound and NotAllowed."""
    try:
        uri = FileUri.parse(text)
    except ValueError as err:
        raise BadArgument(str(err)) from err
    if uri.execution_id != execution_id and uri.execution_id not in _origins(parts, execution_id):
        raise NotAllowed(f"{text} belongs to another execution")
    return found_file(parts, uri)


def _origins(parts: Parts, execution_id: str) -> set[str | None]:
    """The executions that started this one, or that it repeats."""
    execution = found_execution(parts, execution_id)
    started_by = execution.trigger.variables.get("executionId") if execution.trigger is not None else None
    return {started_by if isinstance(started_by, str) else None, execution.parent_id, execution.original_id} - {None}
