"""The executor and the API on a Ray cluster that somebody else runs: `server standalone`, and the first job that needs them.

Also a program, `python -m orchestrator.runtime.standalone ADDRESS [SETTINGS]`: the driver that makes the actors, in a
process of its own outside any job. Prints one JSON line: {"settings": PATH} or the error.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, Conflict, OrchestratorError, Unavailable
from orchestrator.runtime import clean_process, ray_processes
from orchestrator.runtime.client import failure, raised
from orchestrator.runtime.data_folder import claim
from orchestrator.runtime.launcher import READY_LIMIT, healthy
from orchestrator.runtime.ports import answers, is_free
from orchestrator.settings import Settings
from orchestrator.store.blobs import open_blobs
from orchestrator.store.opening import open_store

START_LIMIT = 2 * READY_LIMIT  # seconds for the whole of it, Ray's own part included
STOP_LIMIT = 12.0  # seconds to end our actors
GONE_AFTER = 3  # looks in a row that found no cluster
LOOK = 2.0  # seconds between them


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Bring it up on RAY_ADDRESS and stay until told to stop; then end our actors, not the cluster.

    Raises BadSettings, Conflict, StoreUnavailable or Unavailable; nothing of ours is left on the cluster then.
    """
    address = _address(settings)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with claim(settings.data_dir):
        say(f"Connecting to the Ray cluster at {address}")
        asked = settings.data_dir / "asked.json"
        configuration.save(settings, asked)
        try:
            found = start(configuration.environ(), address, asked=asked, given_up=stopping.is_set)
            if found.data_dir != settings.data_dir:
                raise Conflict(
                    f"this cluster runs an orchestrator already, with its data in {found.data_dir}; use it at {found.url}, or name its folder with --data"
                )
            say(f"Ready at {found.url}")
            _stay(address, stopping)
        except Unavailable:
            if not stopping.is_set():
                raise
        say("Stopping")
        clean_process.run("orchestrator.runtime.ray_boot", "down", address, environ=configuration.environ(), within=STOP_LIMIT)


def _address(settings: Settings) -> str:
    address = configuration.environ().get("RAY_ADDRESS") or settings.ray_address
    if not address:
        raise BadSettings("server standalone runs on an existing Ray cluster: set RAY_ADDRESS, or use `orchestrator server local`")
    if "://" in address:
        raise BadSettings(
            f"RAY_ADDRESS is {address}: give the address of the cluster's head node as host:port (6379 is Ray's default), on a machine of the cluster"
        )
    return address


def _stay(address: str, stopping: threading.Event) -> None:
    """Return when told to stop. Raises Unavailable when the cluster has gone."""
    missed = 0
    while not stopping.wait(LOOK):
        missed = 0 if answers(address) else missed + 1
        if missed == GONE_AFTER:
            raise Unavailable(f"the Ray cluster at {address} is gone; start the server again when it is back: nothing of the runs is lost")


def start(environ: Mapping[str, str], address: str, *, asked: Path | None = None, given_up: Callable[[], bool] = lambda: False) -> Settings:
    """See, by a clean process, that executor and API run on the cluster; the settings in force there, which may be an earlier start's.

    `asked` are the settings wanted by one who holds the data folder; without it they are those of `environ`, and
    where their port is taken another is chosen. Raises what `bring_up` does.
    """
    arguments = [address, *([str(asked)] if asked else [])]
    code, said, complained = clean_process.run("orchestrator.runtime.standalone", *arguments, environ=environ, within=START_LIMIT, given_up=given_up)
    try:
        told = json.loads(said.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Unavailable(f"the executor could not be started (exit code {code}): " + " | ".join(complained.strip().splitlines()[-3:])) from None
    if "error" in told:
        raise raised(told["error"])
    return configuration.saved(Path(told["settings"]))


def bring_up(settings: Settings, address: str, *, may_move: bool) -> Path:
    """The file of the settings that executor and API run with on the cluster at `address`; they are started where there are none.

    `may_move`: another port will do where the wanted one is taken. Raises BadSettings, StoreUnavailable or Unavailable.
    """
    from orchestrator.runtime import ray_boot

    ray_boot.connect(address)
    path, made = ray_boot.settings_in_force(), False
    try:
        if path is None:
            wanted, made = _prepared(settings, address, may_move=may_move), True
            ray_boot.start_actors(wanted, ray_boot.join_info(ray_boot.cluster_address(), _kept_token(settings)))
            path = ray_boot.settings_in_force() or wanted
        _await_ready(configuration.saved(path))
    except OSError as err:
        raise BadSettings(f"the executor on this cluster has its settings in {path}, which cannot be read here: {err.strerror}") from err
    except Unavailable:
        if made:
            ray_boot.end_actors()
        raise
    finally:
        ray_boot.disconnect()
    return path


def _prepared(settings: Settings, address: str, *, may_move: bool) -> Path:
    """The store and the settings, made ready for the actors."""
    open_store(settings.database_url, migrate=True).close()
    open_blobs(settings.data_dir, settings.storage, settings.storage_options, check=True)
    if not is_free(settings.host, settings.port):
        if not may_move:
            raise BadSettings(f"port {settings.port} of {settings.host} cannot be used; choose another with --port")
        settings = settings.model_copy(update={"port": ray_processes.free_ports(1)[0]})
    path = settings.data_dir / "settings.json"
    configuration.save(settings.model_copy(update={"ray_address": address}), path)
    return path


def _kept_token(settings: Settings) -> str:
    """The file with the cluster's token, for workers that join; empty for a cluster without one."""
    given = configuration.ray_token()
    if given is None:
        return ""
    path = settings.data_dir / "ray_token"
    ray_processes.write_token(path, given)
    return str(path)


def _await_ready(settings: Settings) -> None:
    deadline, reason = time.monotonic() + READY_LIMIT, ""
    while time.monotonic() < deadline:
        ready, reason = healthy(settings)
        if ready:
            return
        time.sleep(0.1)
    raise Unavailable(f"the server did not become ready within {READY_LIMIT:.0f} s: {reason}")


def main(arguments: list[str]) -> int:
    """0 when done; 2 with the error as JSON when not."""
    address, *asked = arguments
    try:
        if asked:
            path = bring_up(configuration.saved(Path(asked[0])), address, may_move=False)
        else:
            settings = configuration.load()
            with claim(settings.data_dir):
                path = bring_up(settings, address, may_move=True)
    except OrchestratorError as err:
        print(failure(err))
        return 2
    print(json.dumps({"settings": str(path)}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
