"""A server in the background: started for a run that found none, and stopped by whoever asks for it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil

from orchestrator import settings as configuration
from orchestrator.errors import Unavailable
from orchestrator.runtime import clean_process, ray_processes
from orchestrator.runtime.data_folder import holder, is_held, unusable
from orchestrator.runtime.launcher import READY_LIMIT, RECORD, Say, forget, healthy
from orchestrator.runtime.ray_processes import Node
from orchestrator.settings import Settings

STOP_LIMIT = 20.0  # seconds from SIGTERM to a launcher's end


def ensure_local_server(say: Say) -> str:
    """A server in the background for this folder's `.orchestrator`, as `server local` would start it; its URL once ready.

    Raises BadSettings when the settings forbid it, Unavailable with the last words of its log; then nothing is left running.
    """
    settings = configuration.load()
    if healthy(settings)[0]:
        return settings.url
    process, log, before = _launched(settings)
    try:
        deadline = time.monotonic() + READY_LIMIT + 30
        while time.monotonic() < deadline and (process.poll() is None or is_held(settings.data_dir)):  # perhaps by one started at the same moment
            if healthy(settings)[0]:
                say(f"server ready at {settings.url} (its log: {log}; stop it with: orchestrator server stop)")
                return settings.url
            time.sleep(0.1)
    except KeyboardInterrupt:
        process.terminate()
        raise
    process.terminate()
    words = log.read_bytes()[before:].decode("utf-8", "replace").strip().splitlines()
    told = [line.partition(": ")[2] for line in words if line.startswith("error[")]
    raise Unavailable("the local server did not start: " + (told[-1] if told else " | ".join(words[-3:])) + f"\n  help: its log is {log}")


def _launched(settings: Settings) -> tuple[subprocess.Popen[bytes], Path, int]:
    """`server local` in a session of its own, its log, and how long that was before."""
    log = settings.data_dir / "server.log"
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        out = log.open("ab")
    except OSError as err:
        raise unusable(settings.data_dir, err) from err
    with out:
        place = ["--host", settings.host, "--port", str(settings.port), "--data", str(settings.data_dir)]
        command = clean_process.command("orchestrator.cli.main", "server", "local", *place)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)  # noqa: S603
        return process, log, out.tell()


def stop_local_server(data: Path) -> bool:
    """Stop the local server of a data folder with all its processes, and wait for it; whether anything of it ran.

    Raises Unavailable when it does not end.
    """
    launcher: psutil.Process | None = None
    deadline = time.monotonic() + STOP_LIMIT
    while is_held(data):
        if time.monotonic() > deadline:
            raise Unavailable(f"the server on {data} (process {holder(data)}) does not end: end that process, then ask again")
        launcher = launcher or _asked_to_stop(holder(data))
        time.sleep(0.1)
    if launcher is not None:
        psutil.wait_procs([launcher], timeout=STOP_LIMIT)  # it lets go of the folder with its last breath
    return _ended_leftovers(data) or launcher is not None


def _asked_to_stop(pid: int | None) -> psutil.Process | None:
    """The launcher, sent SIGTERM. It lives, as it holds the folder; a number of another process is left alone."""
    try:
        launcher = psutil.Process(pid) if pid else None
        if launcher is not None and "server" in launcher.cmdline():
            launcher.terminate()
            return launcher
    except psutil.Error:
        pass
    return None


def _ended_leftovers(data: Path) -> bool:
    """End what a launcher left that was killed; nobody holds the folder."""
    record = data / RECORD
    try:
        node = Node.model_validate_json(record.read_text())
    except (OSError, ValueError):
        return False
    there = bool(ray_processes.marked(node.mark))
    forget(node, record)
    return there
