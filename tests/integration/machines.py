"""Machines that join a server, for tests: each a real `orchestrator server worker`, ended with everything of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from orchestrator.runtime import ray_processes
from tests.integration.local_server import ORCHESTRATOR, LocalServer, eventually

JOINED = re.compile(r"^Joined\. .* (\d+\.\d) s after its Ray node was up", re.M)


def clean() -> dict[str, str]:
    """The environment without anything of ours or Ray's."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR_", "RAY_"))}


class Machine:
    """One machine, begun and not waited for."""

    def __init__(self, server: LocalServer, folder: Path, name: str, *args: str, token: str | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.server, self.name, self.log = server, name, folder / f"{name}.log"
        labels = f"machine={name} {(environ or {}).get('ORCHESTRATOR_WORKER_LABELS', '')}".strip()
        given = {
            "ORCHESTRATOR_SERVER": server.url,
            **({"ORCHESTRATOR_API_TOKEN": token} if token else {}),
            **(environ or {}),
            "ORCHESTRATOR_WORKER_LABELS": labels,
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [*ORCHESTRATOR, "server", "worker", *args],
                env={**clean(), **given},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.seen: list[psutil.Process] = []
        self.folder: Path | None = None  # of its node, with the cluster's token

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def joined(self, times: int = 1, within: float = 60) -> float:
        """Wait until it has joined for so many times; the seconds it took from its last Ray node being up."""

        def look() -> list[str] | None:
            assert self.process.poll() is None, self.said()[-2000:]
            found = JOINED.findall(self.said())
            return found if len(found) >= times else None

        found = eventually(look, within=within, what=f"{self.name} has joined; it said: {self.said()[-2000:]}")
        node = ray_processes.named(ray_processes.marked(self.mark()), "raylet")
        assert node is not None
        self.folder = Path(node.environ()["RAY_AUTH_TOKEN_PATH"]).parent
        assert self.folder.name.startswith("orch-worker-")
        self.seen = psutil.Process(self.process.pid).children(recursive=True) + ray_processes.marked(self.mark())
        return float(found[-1])

    def worker(self) -> dict[str, Any]:
        """Its worker, as the server tells of it."""
        listed = self.server.call("GET", "/api/v1/workers")["workers"]
        found = [worker for worker in listed if worker["labels"].get("machine") == self.name and worker["state"] not in ("lost", "starting")]
        assert len(found) == 1, listed
        return dict(found[0])

    def mark(self) -> str:
        """What all processes of its node carry."""
        for process in psutil.process_iter():
            try:
                environ, labels = process.environ(), " ".join(process.cmdline())
            except (psutil.Error, OSError):
                continue
            if environ.get("ORCHESTRATOR_WORKER_SERVER") == self.server.url and f'"machine": "{self.name}"' in labels:
                return str(environ[ray_processes.MARK])
        raise AssertionError(f"no raylet of {self.name}")

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self, within: float = 30) -> int:
        """Its exit code; nothing of its node lives any more then, and the cluster's token is gone from there."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended; it said: {self.said()[-2000:]}") from None
        psutil.wait_procs(self.seen, timeout=3)
        assert [process for process in self.seen if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
        assert self.folder is None or not self.folder.exists()
        return code

    def end(self) -> None:
        """Leave nothing."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                eventually(lambda: self.process.poll() is not None or "Draining" in self.said(), within=10, what="it stops")
                self.process.terminate()  # at once
                self.process.wait(10)
            except (AssertionError, subprocess.TimeoutExpired):
                self.process.kill()


@contextmanager
def machine(server: LocalServer, folder: Path, name: str, *args: str, **more: Any) -> Iterator[Machine]:
    """A machine that has joined."""
    found = Machine(server, folder, name, *args, **more)
    try:
        found.joined()
        yield found
    finally:
        found.end()


def tried(server: LocalServer, *args: str, token: str | None = None, environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit code of a machine that is refused, and the one line it says."""
    given = {"ORCHESTRATOR_SERVER": server.url, **({"ORCHESTRATOR_API_TOKEN": token} if token else {}), **(environ or {})}
    done = subprocess.run([*ORCHESTRATOR, "server", "worker", *args], env={**clean(), **given}, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error[")]
    assert len(said) == 1, done.stderr
    return done.returncode, said[0]
