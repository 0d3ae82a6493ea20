"""Reading what a process says until it has ended."""

from __future__ import annotations

import os
import select
import selectors
from contextlib import suppress
from itertools import count

from orchestrator.sdk import LineSplitter, LogSink, RunningProcess

CHUNK = 1 << 16
LOOK = 0.1  # seconds between looks at a process that cannot be polled


def listen(process: RunningProcess, logs: LogSink) -> int:
    """Pass on both streams, line by line as they come, until the process itself has ended; returns its exit code.

    What the process leaves running does not hold this up, even with the streams still in its hands.
    """
    hearing = _Hearing(process, logs)
    try:
        hearing.until_ended()
        return process.wait()
    finally:
        hearing.close()


class _Stream:
    def __init__(self, fd: int, *, stderr: bool) -> None:
        self.fd, self.stderr, self.lines, self.open = fd, stderr, LineSplitter(), True


class _Hearing:
    """Both streams and the process itself in one loop on one thread."""

    def __init__(self, process: RunningProcess, logs: LogSink) -> None:
        self._process, self._logs, self._offsets = process, logs, count()
        self._streams = [_Stream(process.stdout.fileno(), stderr=False), _Stream(process.stderr.fileno(), stderr=True)]
        self._selector = selectors.DefaultSelector()
        for stream in self._streams:
            os.set_blocking(stream.fd, False)
            self._selector.register(stream.fd, selectors.EVENT_READ, stream)
        self._pidfd = _pidfd(process.pid)
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ, None)

    def until_ended(self) -> None:
        while not self._ended():
            pass
        for stream in self._streams:
            while stream.open and self._read(stream):
                pass
            self._say(stream, stream.lines.end())

    def _ended(self) -> bool:
        """Wait for something to happen and take it; whether the process has ended."""
        if not any(stream.open for stream in self._streams) and self._pidfd is None:
            self._process.wait()
            return True
        over = False
        for key, _ in self._selector.select(LOOK if self._pidfd is None else None):
            if key.data is None:
                over = True
            else:
                self._read(key.data)
        return over or (self._pidfd is None and self._is_over())

    def _is_over(self) -> bool:
        try:
            self._process.wait(0)
        except TimeoutError:
            return False
        return True

    def _read(self, stream: _Stream) -> bool:
        """Take one chunk; whether there may be more at once."""
        try:
            data = os.read(stream.fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            stream.open = False
            self._selector.unregister(stream.fd)
            return False
        self._say(stream, stream.lines.feed(data))
        return True

    def _say(self, stream: _Stream, lines: list[str]) -> None:
        for text in lines:
            self._logs.line(text, stderr=stream.stderr, offset=next(self._offsets))

    def close(self) -> None:
        self._selector.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        for stream in (self._process.stdout, self._process.stderr):
            with suppress(OSError):
                stream.close()


def _pidfd(pid: int) -> int | None:
    """A file that becomes readable when the process ends; None where the system has none."""
    opened = getattr(os, "pidfd_open", None)
    if opened is None or not hasattr(select, "epoll"):
        return None
    try:
        return int(opened(pid))
    except OSError:
        return None
