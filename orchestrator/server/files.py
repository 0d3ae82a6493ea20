"""Sending stored files, a chunk at a time, off the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import BinaryIO
from urllib.parse import quote

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from orchestrator.store.blobs import CHUNK, Blobs
from orchestrator.store.port import StoredFile

SMALL = 64 << 10  # bytes read at once


async def sent(blobs: Blobs, file: StoredFile) -> Response:
    """A file's bytes as a download. Raises NotFound when they are gone, StoreUnavailable when their place does not answer."""
    return await sent_stream(await anyio.to_thread.run_sync(blobs.open, file.blob), file.path.rsplit("/", 1)[-1], file.size)


async def sent_stream(source: BinaryIO, name: str, size: int) -> Response:
    """An open file of so many bytes as a download; it is closed once it has been sent."""
    headers = {"Content-Disposition": disposition(name)}
    if size <= SMALL:
        with source:
            return Response(await anyio.to_thread.run_sync(source.read), media_type="application/octet-stream", headers=headers)
    headers["Content-Length"] = str(size)
    return StreamingResponse(_chunks(source), media_type="application/octet-stream", headers=headers)


def disposition(name: str) -> str:
    """The header that makes an answer a download under this name, whatever characters it has."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


async def _chunks(source: BinaryIO) -> AsyncIterator[bytes]:
    with source:
        while data := await anyio.to_thread.run_sync(source.read, CHUNK):
            yield data
