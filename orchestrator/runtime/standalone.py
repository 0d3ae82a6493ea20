"""`server standalone`: the executor and the API on a Ray cluster that somebody else runs."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, OrchestratorError, Unavailable
from orchestrator.runtime import ray_processes
from orchestrator.runtime.launcher import READY_LIMIT, healthy
from orchestrator.runtime.ray_processes import Node
from orchestrator.settings import Settings
from orchestrator.store.opening import open_store


def bring_up(settings: Settings, address: str) -> Settings:
    """See that executor and API run on the cluster at `address`; the settings in force there.

    Raises BadSettings, StoreUnavailable or Unavailable.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    open_store(settings.database_url, migrate=True).close()
    path = settings.data_dir / "settings.json"
    settings = settings.model_copy(update={"ray_address": address})
    if not healthy(settings)[0] and not _free(settings.host, settings.port):
        settings = settings.model_copy(update={"port": ray_processes.free_ports(1)[0]})
    configuration.save(settings, path)
    node = _node(settings, address)
    ray_processes.boot("up", node, configuration.environ(), str(path), node.token_file)
    deadline, reason = time.monotonic() + READY_LIMIT, ""
    while time.monotonic() < deadline:
        ready, reason = healthy(settings)
        if ready:
            return settings
        time.sleep(0.1)
    raise Unavailable(f"the server did not become ready within {READY_LIMIT:.0f} s: {reason}")


def _node(settings: Settings, address: str) -> Node:
    """The cluster as our own processes see it: its token kept in the data folder, for workers that join."""
    token = settings.data_dir / "ray_token"
    given = configuration.ray_token()
    if given is not None:
        ray_processes.write_token(token, given)
    return Node(mark="", address=address, token_file=str(token), temp_dir="")


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Bring it up on RAY_ADDRESS and stay until told to stop; then end our actors, not the cluster."""
    address = configuration.environ().get("RAY_ADDRESS") or settings.ray_address
    if not address:
        raise BadSettings("server standalone runs on an existing Ray cluster: set RAY_ADDRESS, or use `orchestrator server local`")
    say(f"Connecting to the Ray cluster at {address}")
    settings = bring_up(settings, address)
    say(f"Ready at {settings.url}")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    stopping.wait()
    say("Stopping")
    ray_processes.boot("down", _node(settings, address), configuration.environ())


def main() -> int:
    """For a process outside a job: `python -m orchestrator.runtime.standalone ADDRESS`."""
    try:
        bring_up(configuration.load(), sys.argv[1])
    except OrchestratorError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
