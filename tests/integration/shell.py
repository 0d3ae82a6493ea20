"""The command line as a user types it: in a folder of one's own, with an environment of one's own, and nothing left unseen."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from orchestrator.runtime import ray_processes
from tests.integration.local_server import ORCHESTRATOR

SIGN = "TEST_SHELL"  # carried by every process that comes of what was typed


@dataclass(frozen=True)
class Said:
    """What a command said, how it ended, and how long it took in seconds."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def complaint(self) -> str:
        """Its one `error[...]` and what follows. Problems of a file that was to be checked are data, and on stdout."""
        told = self.err + self.out
        assert told.count("error[") == 1, f"one clear message is expected:\n{told}"
        assert "Traceback" not in told, told
        return told[told.index("error[") :]


class Shell:
    """A folder, an environment, and a port that nothing listens on."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data, self.port = folder, folder / ".orchestrator", ray_processes.free_ports(1)[0]
        self.sign = uuid.uuid4().hex
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR_", "RAY_"))}
        self.environ = {**inherited, "ORCHESTRATOR_PORT": str(self.port), SIGN: self.sign, **(environ or {})}

    def file(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def begin(self, *words: str, environ: Mapping[str, str] | None = None, wrap: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Type a command and do not wait for it."""
        return subprocess.Popen(
            [*wrap, *ORCHESTRATOR, *words],
            cwd=self.folder,
            env={**self.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def type(self, *words: str, environ: Mapping[str, str] | None = None, wrap: tuple[str, ...] = (), within: float = 90) -> Said:
        """Type a command and wait for its end."""
        before = time.monotonic()
        process = self.begin(*words, environ=environ, wrap=wrap)
        try:
            out, err = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"`orchestrator {' '.join(words)}` has not ended within {within} s; it said:\n{out}{err}") from None
        return Said(process.returncode, out, err, time.monotonic() - before)

    def processes(self) -> list[str]:
        """The command line of everything that came of what was typed here and still lives."""
        return [_told(process) for process in self._alive()]

    def _alive(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE and process.environ().get(SIGN) == self.sign:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def end(self) -> None:
        """Leave nothing, whatever the state."""
        for process in self._alive():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.Error:
                continue


def _told(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120]}"
    except psutil.Error:
        return str(process.pid)
