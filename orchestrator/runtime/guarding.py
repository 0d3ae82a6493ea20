"""A supervisor's side of the guard: which jobs its machine must end by itself, should the head lose it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from orchestrator.model.job import JobHandle
from orchestrator.runtime import clean_process
from orchestrator.runtime.machine_notes import MachineNotes
from orchestrator.runtime.presence import LEASE
from orchestrator.sdk import TaskRunner

PROGRAM = Path(__file__).with_name("guard_process.py")


class Guarding:
    """Notes of one place, and its guard process once there is a job to guard. Safe in threads.

    `is_needed`: the head may lose this machine and live on. Where it may not, jobs wait for the next head.
    """

    def __init__(self, notes: MachineNotes, *, place: str, group: str, environ: Callable[[], Mapping[str, str]], is_needed: bool) -> None:
        self._notes, self._place, self._group, self._environ, self._is_needed = notes, place, group, environ, is_needed
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._seconds = LEASE

    def renew(self, seconds: float) -> None:
        """This place may go on for so long."""
        self._notes.may_go_on(self._place, self._group, seconds)
        with self._lock:
            self._seconds = seconds
            if self._process is not None:
                self._tell({"lease": seconds})

    def hold(self, runner: TaskRunner, handle: JobHandle) -> None:
        """Watch a job from here on; one that only this machine reaches is ended with it."""
        if not handle.bound:
            return
        self._notes.hold(handle.key, self._place)
        if not self._is_needed:
            return
        properties = {**runner.model_dump(mode="json", exclude_unset=True, by_alias=True), "type": runner.type}
        given = json.dumps({"runner": properties, "handle": handle.model_dump(mode="json")})
        told = {"guard": handle.key, "argv": clean_process.command("orchestrator.runtime.last_stop"), "environ": dict(self._environ()), "given": given}
        with self._lock:
            if self._process is None:
                self._process = self._launched()
                self._tell({"lease": self._seconds})
            self._tell(told)

    def release(self, key: str) -> None:
        """Nothing of a job is left."""
        self._notes.release(key, self._place)
        with self._lock:
            if self._process is not None:
                self._tell({"let_go": key})

    def take_let_go(self, key: str) -> bool:
        """Whether this machine has ended a job while nobody watched it: it is to be begun anew."""
        return self._notes.take_let_go(key)

    def _launched(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-I", "-S", str(PROGRAM), str(self._notes.root), self._place, self._group, str(os.getppid())]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, env={}, cwd="/")  # noqa: S603

    def _tell(self, told: Mapping[str, object]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(OSError):  # it was killed: then the machine's jobs have no guard until the next supervisor
            self._process.stdin.write(json.dumps(told).encode() + b"\n")
            self._process.stdin.flush()
