"""A real `orchestrator server local` for tests: its own folder, free port, and everything of it ended afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from orchestrator.runtime import ray_processes

ORCHESTRATOR = [sys.executable, "-m", "orchestrator.cli.main"]
ENDED = {"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "SKIPPED"}


def eventually(holds: Callable[[], Any], *, within: float, what: str) -> Any:
    """The first true answer of `holds`, asked until `within` seconds have passed."""
    deadline = time.monotonic() + within
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        time.sleep(0.05)


class LocalServer:
    """One server on one folder; `start` and `kill` as often as a test likes."""

    def __init__(
        self, folder: Path, *, environ: Mapping[str, str] | None = None, token: str | None = None, wrap: tuple[str, ...] = (), flags: tuple[str, ...] = ()
    ) -> None:
        """`wrap` is put before the command: a namespace of its own; `flags` are further ones of it."""
        self.data, self.port, self.token = folder / "data", ray_processes.free_ports(1)[0], token
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "server.log"
        self.environ = {**_clean(), **(environ or {}), **({"ORCHESTRATOR_API_TOKEN": token} if token else {})}
        self.wrap, self.flags = wrap, flags
        self.launcher: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> None:
        with self.log.open("ab") as out:
            self.launcher = subprocess.Popen(
                [*self.wrap, *ORCHESTRATOR, "server", "local", "--port", str(self.port), "--data", str(self.data), *self.flags],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        if ready:
            eventually(self.healthy, within=90, what=f"the server is ready; it said: {self.said()[-2000:]}")

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def healthy(self) -> bool:
        assert self.launcher is not None
        assert self.launcher.poll() is None, f"the server ended: {self.said()[-3000:]}"
        try:
            return bool(self.call("GET", "/health", raw=True))
        except OSError:
            return False

    def stop(self, within: float = 15.0) -> int:
        """SIGTERM to the launcher; its exit code."""
        assert self.launcher is not None
        self.launcher.terminate()
        return self.launcher.wait(within)

    def end(self) -> None:
        """Leave nothing: for the end of a test, whatever state it is in."""
        if self.launcher is not None and self.launcher.poll() is None:
            self.launcher.terminate()
            try:
                self.launcher.wait(20)
            except subprocess.TimeoutExpired:
                self.launcher.kill()
        mark = self.mark()
        if mark is not None:
            ray_processes.end(mark)

    def mark(self) -> str | None:
        """What all processes of its Ray node carry, while it is recorded."""
        try:
            return str(json.loads((self.data / "cluster.json").read_text())["mark"])
        except (OSError, ValueError):
            return None

    # --- over HTTP

    def call(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", raw: bool = False, timeout: float = 60) -> Any:
        data = body if isinstance(body, bytes) else (body.encode() if isinstance(body, str) else (json.dumps(body).encode() if body is not None else None))
        headers = {"Content-Type": kind} if data is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
        return text if raw else (json.loads(text) if text else None)

    def flow(self, source: str) -> tuple[str, str]:
        saved = self.call("POST", "/api/v1/flows", source, kind="application/x-yaml")
        return saved["namespace"], saved["id"]

    def execute(self, flow: tuple[str, str], *, wait: bool = False, inputs: Mapping[str, str] | None = None) -> dict[str, Any]:
        boundary = uuid.uuid4().hex
        parts = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in (inputs or {"unused": ""}).items()
        )
        path = f"/api/v1/executions/{flow[0]}/{flow[1]}?wait={str(wait).lower()}"
        started: dict[str, Any] = self.call(
            "POST", path, (parts + f"--{boundary}--\r\n").encode(), kind=f"multipart/form-data; boundary={boundary}", timeout=120
        )
        return started

    def execution(self, execution_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/api/v1/executions/{execution_id}")
        return found

    def ended(self, execution_id: str, within: float = 60) -> dict[str, Any]:
        """The execution once it has ended, asked again while the API is away."""

        def look() -> dict[str, Any] | None:
            try:
                found = self.execution(execution_id)
            except OSError:
                return None
            return found if found["state"]["current"] in ENDED else None

        result: dict[str, Any] = eventually(look, within=within, what=f"execution {execution_id} has ended")
        return result

    def logs(self, execution_id: str) -> list[str]:
        return [entry["message"] for entry in self.call("GET", f"/api/v1/logs/{execution_id}")]

    # --- its processes

    def process(self, word: str) -> psutil.Process:
        """The one process of its cluster whose title or command has that word, once it is there: it may just be made anew."""
        mark = self.mark()
        assert mark is not None
        found: list[psutil.Process] = eventually(
            lambda: [p for p in ray_processes.marked(mark) if word in _title(p)], within=30, what=f"there is a process {word}"
        )
        return found[0]

    def kill(self, word: str) -> None:
        self.process(word).send_signal(signal.SIGKILL)

    def kill_raylet(self) -> None:
        mark = self.mark()
        assert mark is not None
        raylet = ray_processes.named(ray_processes.marked(mark), "raylet")
        assert raylet is not None
        raylet.send_signal(signal.SIGKILL)
        raylet.wait(5)

    def kill_worker(self) -> None:
        """SIGKILL to the default worker, whose title is the task it began last."""
        mark = self.mark()
        assert mark is not None
        others = ("ray::ExecutorActor", "ray::ApiActor", "ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::IDLE", "ray::SupervisorActor")
        found = [p for p in ray_processes.marked(mark) if _title(p).startswith("ray::") and not _title(p).startswith(others)]
        assert len(found) == 1, [_title(p)[:60] for p in found]
        found[0].send_signal(signal.SIGKILL)


def mark_of_node(node_id: str) -> str:
    """What all processes of a Ray node of this machine carry."""
    for process in psutil.process_iter():
        try:
            if f"--node_id={node_id}" in process.cmdline():
                return process.environ()[ray_processes.MARK]
        except (psutil.Error, OSError, KeyError):
            continue
    raise AssertionError(f"no node {node_id}")


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR_", "RAY_"))}


@contextmanager
def local_server(folder: Path, **options: Any) -> Iterator[LocalServer]:
    """A started server, ended with all its processes."""
    server = LocalServer(folder, **options)
    try:
        server.start()
        yield server
    finally:
        server.end()


@contextmanager
def joined_worker(
    server: LocalServer, group: str, folder: Path, *, slots: int = 8, wrap: tuple[str, ...] = (), url: str | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`orchestrator server worker` for a group, joined; `wrap` is put before the command (a namespace of its own), and
    `url` is the server's as it is seen from there."""
    log = (folder / f"worker-{group}.log").open("ab")
    command = [*wrap, *ORCHESTRATOR, "server", "worker", f"--worker-group={group}", f"--server={url or server.url}", "--slots", str(slots)]
    process = subprocess.Popen(
        [*command, *([f"--api-token={server.token}"] if server.token else [])],
        env=_clean(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        eventually(lambda: group in _groups(server) or process.poll() is not None, within=60, what=f"a worker of {group} has joined")
        assert process.poll() is None, (folder / f"worker-{group}.log").read_text()[-2000:]
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.terminate()  # what still runs there need not be waited for
                process.wait(20)
        log.close()


def _groups(server: LocalServer) -> set[str]:
    """The groups with a worker that takes work."""
    return {worker.get("group", "") for worker in server.call("GET", "/api/v1/workers")["workers"] if worker["state"] == "up"}
