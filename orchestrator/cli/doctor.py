"""`orchestrator doctor`: looks for the usual causes of trouble, and says what to do about each."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from orchestrator.cli.client import Client
from orchestrator.cli.options import DEFAULT_SERVER, HELP, AsJson, Server, Token, commands
from orchestrator.cli.speech import RUN_FAILED, fail, put, put_json
from orchestrator.errors import OrchestratorError

app = commands()

FREE_GIB = 2.0  # below this a database and images soon have no room
DOCKER_SOCKET = "/var/run/docker.sock"


class Finding(NamedTuple):
    """One thing looked at. `remedy` is what to do when it is not well."""

    name: str
    well: bool
    what: str
    remedy: str = ""


@app.command(context_settings=HELP)
def doctor(as_json: AsJson = False, server: Server = None, token: Token = None) -> None:
    """Look at the server, the API token, Docker, Ray, the disk. Exits with 1 when something is not well."""
    looks: tuple[Callable[[], Finding], ...] = (_python, _ray, _disk, _docker, lambda: _server(server or DEFAULT_SERVER, token))
    found = [look() for look in looks]
    if as_json:
        put_json([finding._asdict() for finding in found])
    else:
        for finding in found:
            put(f"{'✓ ok   ' if finding.well else '✗ wrong'}  {finding.name}: {finding.what}" + (f"\n           {finding.remedy}" if not finding.well else ""))
    wrong = sum(not finding.well for finding in found)
    if wrong:
        fail(f"{wrong} of {len(found)} not well", RUN_FAILED)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _ray() -> Finding:
    return Finding("ray", find_spec("ray") is not None, "installed" if find_spec("ray") else "not installed", "pip install orchestrator")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return Finding("disk", free >= FREE_GIB, f"{free:.1f} GiB free in this folder", "make room, or start the server with --data on another disk")


def _docker() -> Finding:
    remedy = "start the Docker engine, or use the Process runner for script tasks; only tasks in containers need it"
    with socket.socket(socket.AF_UNIX) as knock:
        knock.settimeout(2.0)
        try:
            knock.connect(DOCKER_SOCKET)
        except OSError as err:
            return Finding("docker", False, f"no engine at {DOCKER_SOCKET} ({err.strerror or err})", remedy)
    return Finding("docker", True, f"an engine listens at {DOCKER_SOCKET}")


def _server(url: str, token: str | None) -> Finding:
    try:
        client = Client(url, token, timeout=5.0)
        client.json("GET", "/health")
        client.json("GET", "/api/v1/flows/search", query=[("size", "1")])
    except OrchestratorError as err:
        what, _, remedy = str(err).partition("\n  help: ")
        return Finding("server", False, what, remedy or "see the server's own output")
    return Finding("server", True, f"{client.url} answers")
