"""Namespace files."""

from __future__ import annotations

import asyncio
import os
import tempfile

from fastapi import APIRouter, Request, Response

from orchestrator.errors import NotFound
from orchestrator.server import answers, namespace_files, shapes
from orchestrator.server.asked import Asked
from orchestrator.server.files import sent, sent_stream
from orchestrator.server.forms import read_form
from orchestrator.server.namespace_files import FLOWS, KIND, allowed, clean
from orchestrator.server.parts import parts_of, slowly
from orchestrator.server.problems import BadBody

router = APIRouter(prefix="/api/v1/namespaces/{namespace}/files")


@router.get("", response_model=None)
async def get(request: Request, namespace: str) -> Response:
    parts, path = parts_of(request), allowed(Asked(request).required("path"))
    file = namespace_files.found(parts, namespace, path)
    if file.directory:
        raise NotFound(f"`{path}` is a folder")
    try:
        return await sent(parts.blobs, file)
    except NotFound:  # replaced in this very moment
        return await sent(parts.blobs, namespace_files.found(parts, namespace, path))


@router.post("", response_model=None)
async def put(request: Request, namespace: str) -> Response:
    parts, path = parts_of(request), clean(Asked(request).required("path"))
    if not path.startswith(FLOWS + "/"):
        allowed(path)
    form = await read_form(request, parts.blobs)
    upload = next((upload for upload in form.uploads if upload.part == "fileContent"), None)
    for other in form.uploads:
        if other is not upload:
            parts.blobs.remove(other.blob)
    if upload is None:
        raise BadBody("the part `fileContent` with the file is missing")
    if path.startswith(FLOWS + "/"):
        with parts.blobs.open(upload.blob) as file:
            source = file.read().decode("utf-8", "replace")
        parts.blobs.remove(upload.blob)
        await namespace_files.keep_flow(parts, namespace, source)
    elif upload.name.lower().endswith(".zip"):
        await namespace_files.unpack(parts, namespace, upload.blob)
    else:
        await namespace_files.keep(parts, namespace, path, upload.blob, upload.size)
    return answers.empty()


@router.put("", response_model=None)
async def move(request: Request, namespace: str) -> Response:
    asked = Asked(request)
    await namespace_files.move(parts_of(request), namespace, allowed(asked.required("from")), allowed(asked.required("to")))
    return answers.empty()


@router.delete("", response_model=None)
async def delete(request: Request, namespace: str) -> Response:
    await namespace_files.forget(parts_of(request), namespace, allowed(Asked(request).required("path")))
    return answers.empty()


@router.get("/directory", response_model=None)
async def directory(request: Request, namespace: str) -> Response:
    parts, path = parts_of(request), allowed(Asked(request).text("path"))
    rows = await slowly(lambda: namespace_files.children(parts, namespace, path))
    if path != "/" and not rows and not namespace_files.found(parts, namespace, path).directory:
        raise NotFound(f"`{path}` is no folder")
    return answers.made([shapes.file_attributes(file) for file in rows])


@router.post("/directory", response_model=None)
async def make_directory(request: Request, namespace: str) -> Response:
    await namespace_files.make_folder(parts_of(request), namespace, allowed(Asked(request).required("path")))
    return answers.empty()


@router.get("/stats", response_model=None)
async def stats(request: Request, namespace: str) -> Response:
    file = namespace_files.found(parts_of(request), namespace, allowed(Asked(request).text("path")))
    return answers.made(shapes.file_attributes(file))


@router.get("/search", response_model=None)
async def search(request: Request, namespace: str) -> Response:
    wanted = Asked(request).required("q")
    rows = await slowly(lambda: parts_of(request).reader.files(KIND, namespace))
    return answers.made([file.path for file in rows if not file.directory and wanted in file.path])


@router.get("/revisions", response_model=None)
async def revisions(request: Request, namespace: str) -> Response:
    namespace_files.found(parts_of(request), namespace, allowed(Asked(request).required("path")))
    return answers.made([{"revision": 1}])


@router.get("/export", response_model=None)
async def export(request: Request, namespace: str) -> Response:
    target = tempfile.TemporaryFile()  # noqa: SIM115  # closed when it has been sent
    await asyncio.to_thread(namespace_files.export, parts_of(request), namespace, target)
    size = target.seek(0, os.SEEK_END)
    target.seek(0)
    return await sent_stream(target, f"{namespace}_files.zip", size)
