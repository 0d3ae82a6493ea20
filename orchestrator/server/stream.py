"""Server-sent events on the executor's change feed: nothing polls, and the producer ends with its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic_core import to_json
from starlette.responses import StreamingResponse

from orchestrator.errors import NotFound, Unavailable
from orchestrator.model.values import Json
from orchestrator.runtime.requests import Watch
from orchestrator.server.parts import Parts
from orchestrator.store.port import LogFilter

EXPECTED = 10.0  # seconds an execution may take to appear
LONG_POLL = 15.0  # seconds one question to the executor waits for news; then the client gets a sign of life
AWAY = 0.5  # seconds before an executor that is restarting is asked again
BYTES_PER_SECOND = 20e6  # of one client's events: a huge execution is not sent again for each of its task runs


def streaming(events: AsyncIterator[bytes]) -> StreamingResponse:
    """Events as an answer that no proxy holds back."""
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})


def event(id: str, data: Json) -> bytes:
    """One event: an id line, a data line, an empty line."""
    text = data if isinstance(data, bytes) else to_json(data, by_alias=True, exclude_none=True)
    return b"id: %s\ndata: %s\n\n" % (id.encode(), text)


async def expected(parts: Parts, execution_id: str) -> None:
    """Return once the execution is there. Raises NotFound when it has not come after ten seconds."""
    end = asyncio.get_running_loop().time() + EXPECTED
    while parts.reader.execution(execution_id) is None:
        if asyncio.get_running_loop().time() > end:
            raise NotFound(f"no execution `{execution_id}`")
        await asyncio.sleep(0.1)


async def execution_events(parts: Parts, execution_id: str) -> AsyncIterator[bytes]:
    """`start`, the whole execution as `progress` on every change, and once it has ended as `end`."""
    yield event("start", {"id": execution_id})
    version = -1
    while True:
        news = await _news(parts, execution_id, version)
        if news is None:
            return
        version = news["version"]
        if news["ended"]:
            yield event("end", news["execution"] or (parts.reader.execution_json(execution_id) or "{}").encode())
            return
        said = event("progress", news["execution"]) if news["execution"] is not None else b": waiting\n\n"
        yield said
        await asyncio.sleep(len(said) / BYTES_PER_SECOND)


async def log_events(parts: Parts, which: LogFilter) -> AsyncIterator[bytes]:
    """`start`, then every line as `progress`, those already written first; it ends with the execution."""
    assert which.execution_id is not None
    yield event("start", {})
    version, after, ended = -1, 0, False
    while True:
        lines = await asyncio.to_thread(parts.reader.logs, which, after=after)
        if lines:
            after = lines[-1][0]
            yield b"".join(event("progress", line) for _, line in lines)
        if ended:
            return
        news = await _news(parts, which.execution_id, version)
        if news is None:
            return
        if news["version"] == version and not news["ended"]:
            yield b": waiting\n\n"
        version, ended = news["version"], news["ended"]


async def _news(parts: Parts, execution_id: str, version: int) -> dict[str, Json] | None:
    """The next news, waited for; an executor that restarts is asked again. None when the execution has been deleted."""
    while True:
        try:
            found: dict[str, Json] = await parts.executor.watch(Watch(execution_id=execution_id, version=version, seconds=LONG_POLL))
            return found
        except Unavailable:
            await asyncio.sleep(AWAY)
            version = -1
        except NotFound:
            return None
