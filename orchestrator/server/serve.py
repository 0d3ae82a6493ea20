"""The application under uvicorn, inside an event loop that someone else owns."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from orchestrator.errors import BadSettings
from orchestrator.settings import Settings

GRACE = 3  # seconds that open answers (event streams) get when the server ends
IDLE = 75  # seconds that a connection without a request is kept: longer than clients keep theirs, which then never send into a closed one


class Server(uvicorn.Server):
    """uvicorn without hands on the process's signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bound(settings: Settings) -> socket.socket:
    """A listening socket at the settings' host and port. Raises BadSettings saying what is in the way."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # by it asyncio knows to switch Nagle off: 40 ms an answer
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
    except OSError as err:
        found.close()
        raise BadSettings(f"cannot listen on {settings.host}:{settings.port}: {err.strerror}; stop what is using it or choose another --port") from err
    return found


async def serve(app: FastAPI, settings: Settings, listening: socket.socket | None = None) -> None:
    """Answer requests until cancelled. Raises BadSettings when the address cannot be had."""
    sock = listening if listening is not None else bound(settings)
    server = Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE, timeout_keep_alive=IDLE, backlog=2048)
    )
    running = asyncio.ensure_future(server.serve(sockets=[sock]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True
        await running
        raise
    finally:
        sock.close()
