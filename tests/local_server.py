"""A server of one's own for a while: `orchestrator server local` on a free port and a passing data folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestrator.runtime.ray_processes import free_ports

READY_LIMIT = 90.0  # seconds until flows can be run
STOP_LIMIT = 20.0  # seconds from SIGTERM to its end
ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")  # the command beside the interpreter that runs this


@dataclass(frozen=True)
class Server:
    """A server that runs: where it answers, where its data lies, and the launcher's process id."""

    url: str
    data: Path
    pid: int


class NotReady(Exception):
    """The server ended, or did not become ready in time; the message holds what it said."""


@contextmanager
def local_server(
    *, orchestrator: Path = ORCHESTRATOR, environ: Mapping[str, str] | None = None, port: int | None = None, show: IO[str] | None = None
) -> Iterator[Server]:
    """A server that is ready; ended, and its folder removed, on the way out.

    `environ` is added to this process's own; `show` is where its words go (default: kept, and told when it fails).
    Raises NotReady.
    """
    folder = Path(tempfile.mkdtemp(prefix="orch-"))
    url = f"http://127.0.0.1:{port or free_ports(1)[0]}"
    try:
        with open(folder / "words", "w+") as words:
            process = _started(orchestrator, folder, url, {**os.environ, **(environ or {})}, show or words)
            try:
                _await_ready(process, url, folder / "words")
                yield Server(url=url, data=folder / "data", pid=process.pid)
            finally:
                end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(orchestrator: Path, folder: Path, url: str, environ: Mapping[str, str], words: IO[str]) -> subprocess.Popen[bytes]:
    command: list[str | Path] = [orchestrator, "server", "local", "--port", url.rpartition(":")[2], "--data", folder / "data"]
    return subprocess.Popen(command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=words, stderr=words)


def _await_ready(process: subprocess.Popen[bytes], url: str, words: Path) -> None:
    deadline = time.monotonic() + READY_LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url + "/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    how = "did not become ready in time" if process.poll() is None else f"ended with exit code {process.returncode}"
    raise NotReady(f"the server {how}:\n{words.read_text()}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to end and wait for it; one that does not is killed, and that is an error."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
