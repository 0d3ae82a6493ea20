"""A task runner of a third party: commands on the worker itself, at low priority."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import BinaryIO, ClassVar

from pydantic import Field, PrivateAttr

from orchestrator.sdk import (
    Job,
    JobExit,
    JobHandle,
    JobLost,
    JobRejected,
    JobTools,
    Late,
    LineSplitter,
    LogSink,
    PhaseName,
    RunningProcess,
    TaskRunner,
)

CHUNK = 1 << 16
EACH = 5.0  # seconds that a stream may stay open once nothing that was started is left


class Nice(TaskRunner):
    """Run on the worker, giving way to all else there.

    The processes end with the worker, so a saved handle is not enough to go on (`reattaches`); they take one of its slots (`ephemeral`).
    """

    ephemeral: ClassVar[bool] = False
    reattaches: ClassVar[bool] = False

    type: str = "com.acme.runner.Nice"
    niceness: Late[int] = Field(10, ge=0, le=19, description="How much it gives way: 19 is most.")
    _process: RunningProcess | None = PrivateAttr(None)
    _stopped: threading.Event = PrivateAttr(default_factory=threading.Event)
    _ended: JobExit | None = PrivateAttr(None)

    def prepare(self, job: Job) -> JobHandle:
        return JobHandle(key=job.key, runner=self.type, backend=self.backend())

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        if self._process is None and not (tools.cancelled() or self._stopped.is_set()):
            environment = {**tools.environment(), **job.env}
            try:
                argv = ("nice", "-n", str(self.niceness), *job.argv)
                self._process = tools.processes.start(argv, cwd=job.working_dir, env=environment, key=job.key)
            except OSError as err:
                raise JobRejected(f"`nice` cannot be started: {err.strerror or err}") from err
            tools.phase(PhaseName.RUNNING)
            if self._stopped.is_set():  # a stop that came while it was starting
                self._process.stop(timedelta())
        return handle if self._process is None else handle.model_copy(update={"details": {"pid": self._process.pid}})

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        if self._process is None:
            if self._stopped.is_set():
                return JobExit(code=143, reason="stopped before it was started")
            raise JobLost("the worker that had started the command is gone")
        if self._ended is None:
            with _listening(self._process, logs):
                code = self._process.wait()
                self._process.stop(timedelta())  # what it left running, which would keep the streams open
            self._ended = JobExit(code=code, details={"pid": self._process.pid, "niceness": self.niceness})
        return self._ended

    def collect(self, job: Job, handle: JobHandle) -> None:
        """The files are where they belong already."""

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        self._stopped.set()
        if self._process is not None:
            self._process.stop(grace)

    def remove(self, handle: JobHandle) -> None:
        if self._process is not None:
            self._process.stop(timedelta())


@contextmanager
def _listening(process: RunningProcess, logs: LogSink) -> Iterator[None]:
    """Pass on both streams meanwhile, line by line as they come, to their last."""
    hearing = _Hearing(logs)
    threads = [threading.Thread(target=hearing.hear, args=(stream, stream is process.stderr), daemon=True) for stream in (process.stdout, process.stderr)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join(EACH)
        process.stdout.close()
        process.stderr.close()


class _Hearing:
    """Numbers the lines of both streams in the order in which they come."""

    def __init__(self, logs: LogSink) -> None:
        self._logs, self._offset, self._one_at_a_time = logs, 0, threading.Lock()

    def hear(self, stream: BinaryIO, stderr: bool) -> None:
        lines = LineSplitter()
        while data := os.read(stream.fileno(), CHUNK):
            self._say(lines.feed(data), stderr)
        self._say(lines.end(), stderr)

    def _say(self, lines: list[str], stderr: bool) -> None:
        with self._one_at_a_time:
            for text in lines:
                self._logs.line(text, stderr=stderr, offset=self._offset)
                self._offset += 1
