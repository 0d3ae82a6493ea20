from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from api_site import FLOW, YAML, Site

from orchestrator.errors import BadSettings
from orchestrator.model.state import State
from orchestrator.server import stream
from orchestrator.server.serve import bound, serve
from orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
DEADLINE = 10.0  # seconds


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[str]:
    """A real server on a free port, for as long as the block lasts."""
    listening = bound(Settings(port=0))
    running = asyncio.create_task(serve(site.app, Settings(), listening))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def started(api: httpx.AsyncClient) -> str:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    return str((await api.post("/api/v1/executions/io.acme/hello")).json()["id"])


async def test_changes_and_lines_arrive_while_the_execution_runs(open_site: Site) -> None:
    async with served(open_site) as url, httpx.AsyncClient(base_url=url, timeout=DEADLINE) as api:
        id = await started(api)
        heard: list[str] = []

        async def listen(path: str) -> None:
            async with api.stream("GET", path) as answer:
                heard.extend([line async for line in answer.aiter_lines() if line.startswith("data:")])

        async with asyncio.TaskGroup() as group:
            group.create_task(listen(f"/api/v1/executions/{id}/follow"))
            group.create_task(listen(f"/api/v1/logs/{id}/follow"))
            await open_site.executor.watched_by(2)
            open_site.executor.move(id, State.RUNNING)
            await open_site.executor.watched_by(2)
            open_site.executor.say(id, "INFO hello")
            open_site.executor.move(id, State.SUCCESS)
        said = [json.loads(line[5:]) for line in heard]
        assert [one["message"] for one in said if "message" in one] == ["INFO hello"]
        states = [one["state"]["current"] for one in said if "state" in one]
        assert (states[0], states[-1]) == ("CREATED", "SUCCESS")


async def test_the_producer_stops_when_its_client_leaves(open_site: Site) -> None:
    async with served(open_site) as url, httpx.AsyncClient(base_url=url, timeout=DEADLINE) as api:
        id = await started(api)
        async with api.stream("GET", f"/api/v1/executions/{id}/follow"):
            await open_site.executor.watched_by(1)
        await open_site.executor.watched_by(0)


async def test_following_what_never_comes_is_not_found(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EXPECTED", 0.0)
    assert (await api.get("/api/v1/executions/nobody/follow")).status_code == 404


async def test_a_server_ends_although_a_client_still_listens(open_site: Site) -> None:
    async with served(open_site) as url:
        api = httpx.AsyncClient(base_url=url, timeout=DEADLINE)
        id = await started(api)
        listening = api.stream("GET", f"/api/v1/executions/{id}/follow")
        await listening.__aenter__()
        await open_site.executor.watched_by(1)
        before = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - before < DEADLINE
    await api.aclose()


async def test_a_taken_port_is_told_with_the_remedy() -> None:
    with bound(Settings(port=0)) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadSettings, match=rf"cannot listen on 127.0.0.1:{port}: .*--port"):
            bound(Settings(port=port))


async def test_the_socket_says_it_is_tcp_so_that_no_answer_waits_for_an_acknowledgement() -> None:
    with bound(Settings(port=0)) as listening:
        assert listening.proto == socket.IPPROTO_TCP
