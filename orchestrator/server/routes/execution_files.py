"""Files of an execution: inputs and what its tasks kept."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from orchestrator.errors import NotFound
from orchestrator.model.execution import Execution
from orchestrator.model.file_uri import FileUri
from orchestrator.server import answers
from orchestrator.server.asked import Asked
from orchestrator.server.files import sent
from orchestrator.server.parts import Parts, parts_of
from orchestrator.server.problems import BadArgument
from orchestrator.store.port import StoredFile

router = APIRouter(prefix="/api/v1/executions/{execution_id}/file")


@router.get("", response_model=None)
async def download(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    uri = _asked_uri(request, parts, execution_id)
    if uri.execution_id != execution_id:
        return RedirectResponse(f"/api/v1/executions/{uri.execution_id}/file?path={quote(str(uri), safe='')}", 307)
    return await sent(parts.blobs, found_file(parts, uri))


@router.get("/metas", response_model=None)
async def metas(request: Request, execution_id: str) -> Response:
    parts = parts_of(request)
    return answers.made({"size": found_file(parts, _asked_uri(request, parts, execution_id)).size})


def _asked_uri(request: Request, parts: Parts, execution_id: str) -> FileUri:
    """The file that `path` names. Raises NotFound for an unknown execution, BadArgument for a path that is none of its files."""
    text = Asked(request).required("path")
    execution = parts.reader.execution(execution_id)
    if execution is None:
        raise NotFound(f"no execution `{execution_id}`")
    try:
        uri = FileUri.parse(text)
    except ValueError as err:
        raise BadArgument(f"Invalid path '{text}': {err}") from err
    if not _same_flow(uri, execution) and parts.reader.execution(uri.execution_id) is None:
        raise BadArgument(f"Invalid path '{text}': it belongs to no execution")
    return uri


def _same_flow(uri: FileUri, execution: Execution) -> bool:
    return (uri.namespace, uri.flow_id) == (execution.namespace, execution.flow_id)


def found_file(parts: Parts, uri: FileUri) -> StoredFile:
    """The file behind a URI. Raises NotFound."""
    file = parts.reader.file("execution", uri.execution_id, uri.path)
    if file is None or file.directory:
        raise NotFound(f"no file {uri}")
    return file
