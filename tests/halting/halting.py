"""Runners that halt at a named point until they are let go or their process is killed.

The property `halts` names a folder: its file `point` says where to halt, once. A runner that has come there writes its
process into the file `reached`, and goes on when there is a file `go`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

from orchestrator.sdk import Job, JobExit, JobHandle, JobTools, LogSink, TaskRunner, Text
from orchestrator_plugins.docker import following
from orchestrator_plugins.docker.client import Engine
from orchestrator_plugins.docker.runner import Docker

_here = threading.local()  # the folder of the runner that works on this thread


def point(name: str) -> None:
    """Halt here, if this is the point, for the first time."""
    folder: Path | None = getattr(_here, "folder", None)
    if folder is None or (folder / "point").read_text() != name:
        return
    if (folder / "reached").exists():
        return
    (folder / "pid").write_text(str(os.getpid()))
    (folder / "pid").rename(folder / "reached")
    while not (folder / "go").exists():
        time.sleep(0.01)


def halting_after(client: Any, *calls: str) -> None:
    """Make a point `after CALL` of every one of a client's, or a module's, calls."""
    for name in calls:
        setattr(client, name, _halting(getattr(client, name), name.lstrip("_")))


def _halting(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(call)
    def called(*args: Any, **named: Any) -> Any:
        answer = call(*args, **named)
        point(f"after {name}")
        return answer

    return called


class Halting(TaskRunner):
    """Put before a runner among the bases of a class: points around each of its promises."""

    halts: Text = ""

    @contextmanager
    def _halting(self, before: str, after: str) -> Iterator[None]:
        _here.folder = Path(self.halts)
        try:
            point(before)
            yield
            point(after)
        finally:
            _here.folder = None

    def prepare(self, job: Job) -> JobHandle:
        with self._halting("asked", "named"):
            return super().prepare(job)  # type: ignore[safe-super]

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        with self._halting("handle saved", "running"):
            return super().start(job, handle, tools)  # type: ignore[safe-super]

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        with self._halting("to be watched", "end seen"):
            return super().wait(handle, _Lines(logs))  # type: ignore[safe-super]

    def collect(self, job: Job, handle: JobHandle) -> None:
        with self._halting("to be collected", "collected"):
            super().collect(job, handle)  # type: ignore[safe-super]

    def remove(self, handle: JobHandle) -> None:
        with self._halting("outcome saved", "removed"):
            super().remove(handle)  # type: ignore[safe-super]


class _Lines(LogSink):
    def __init__(self, logs: LogSink) -> None:
        self._logs = logs

    def line(self, text: str, *, stderr: bool, offset: int, at: datetime | None = None) -> None:
        self._logs.line(text, stderr=stderr, offset=offset, at=at)
        point(f"line {offset} taken")


class HaltingDocker(Halting, Docker):
    """Docker with points after the calls of its engine too."""

    type: str = "test.HaltingDocker"


halting_after(Engine, "image_user", "create", "put", "start")
halting_after(following, "_inspected")  # its log has ended; that it has too is just being learned
