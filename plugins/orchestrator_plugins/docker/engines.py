"""Which engine is meant: an engine is known by its id, not by where it is reached."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from orchestrator.sdk import BadSettings, JobHandle, JobLost

if TYPE_CHECKING:
    from orchestrator_plugins.docker.client import Engine

SOCKETS = ("/var/run/docker.sock", "/dind/docker.sock")
KEPT = 60  # seconds for which an engine is taken for the one that it was


class Identity(NamedTuple):
    """An engine as it told of itself."""

    id: str
    api_version: str

    @property
    def backend(self) -> str:
        """How handles name it."""
        return f"docker:{self.id}"


def address(host: str | None) -> str:
    """Where an engine is reached: as written, or the usual socket."""
    if host:
        return host if "://" in host else f"unix://{host}"
    return "unix://" + next((path for path in SOCKETS if os.path.exists(path)), SOCKETS[0])


def is_of_this_machine(host: str) -> bool:
    """Whether an address reaches a different engine on every machine."""
    return host.startswith(("unix://", "npipe://"))


@contextmanager
def opened(host: str) -> Iterator[Engine]:
    """A connection of one call's own: a stop need not wait for what another call is doing."""
    engine = _connected(host, identity(host).api_version)
    try:
        yield engine
    finally:
        engine.close()


def identity(host: str) -> Identity:
    """Which engine answers there, as of the last minute. Raises RunnerUnavailable."""
    return _met(host, int(time.monotonic() // KEPT))


@lru_cache(maxsize=64)
def _met(host: str, minute: int) -> Identity:
    engine = _connected(host, None)
    try:
        return Identity(engine.id(), engine.api_version)
    finally:
        engine.close()


def _connected(host: str, api_version: str | None) -> Engine:
    try:
        from orchestrator_plugins.docker.client import Engine
    except ModuleNotFoundError as err:
        raise BadSettings("the Docker runner needs a package that is not installed: pip install 'orchestrator[docker]'") from err
    return Engine(host, api_version)


def gone(handle: JobHandle, host: str) -> JobLost:
    """Why a container that had been started is not on the engine that answers now."""
    _met.cache_clear()
    now = identity(host).backend
    if now != handle.backend:
        return JobLost(f"container {handle.key} is on another engine: it was started on {handle.backend}, and at this address answers {now}")
    return JobLost(f"container {handle.key} is gone: it was removed by someone else")
