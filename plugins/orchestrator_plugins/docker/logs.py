"""From the engine's log to lines, each once and in order, whatever the engine loses on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from orchestrator.sdk import LineSplitter, LogSink

HEADER = struct.Struct(">BxxxL")
STDERR = 2
SECOND, TENTH = len("2024-05-06T07:08:09"), len("2024-05-06T07:08:09.1")  # how much of a time tells them
SLACK = timedelta(seconds=2)  # an entry is written so long after its time at most
KEPT = 20_000  # tenths of a second whose counts are kept: far more than the slack, for clocks that are set back


def entries(chunks: Iterable[bytes]) -> Iterator[tuple[bool, bytes, bytes]]:
    """`(is stderr, time, data)` of every entry: the frames of a log with times. Frames may be cut anywhere by the chunks."""
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        at = 0
        while len(pending) - at >= HEADER.size:
            kind, length = HEADER.unpack_from(pending, at)
            if len(pending) - at < HEADER.size + length:
                break
            when, _, data = bytes(pending[at + HEADER.size : at + HEADER.size + length]).partition(b" ")
            yield kind == STDERR, when, data
            at += HEADER.size + length
        del pending[:at]


class Reading:
    """One reading of a container's log from its first line: it can be broken off and gone on with.

    A followed log may lack its last entries. One that is read again from a time lacks those of an earlier time, and the
    times are not in order: an entry of one stream takes its time and then waits until one of the other is written. So a
    log is read again from `SLACK` before the last entry, and what was taken of every tenth of a second is counted.
    """

    def __init__(self, logs: LogSink) -> None:
        self._logs = logs
        self._splitters = {False: LineSplitter(), True: LineSplitter()}
        self._offset = 0
        self._last = b""
        self._taken: dict[bytes, int] = {}  # how many entries of each tenth of a second

    @property
    def since(self) -> str | None:
        """Where to go on: seconds since 1970."""
        return str(int(self._begin().timestamp())) if self._last else None

    def _begin(self) -> datetime:
        return datetime.fromisoformat(self._last[:SECOND].decode() + "+00:00") - SLACK

    def take(self, chunks: Iterable[bytes]) -> None:
        """Read on; `chunks` are a log from `since`."""
        first = self._begin().isoformat()[:SECOND].encode() if self._last else b""
        again = dict(self._taken)
        for stderr, when, data in entries(chunks):
            tenth = when[:TENTH]
            if tenth < first:
                continue
            if again.get(tenth):
                again[tenth] -= 1
                continue
            self._count(tenth)
            self._last = when
            self._say(self._splitters[stderr].feed(data), stderr=stderr, when=when)

    def _count(self, tenth: bytes) -> None:
        self._taken[tenth] = self._taken.get(tenth, 0) + 1
        if len(self._taken) > KEPT:
            self._taken = dict(list(self._taken.items())[KEPT // 2 :])

    def end(self) -> None:
        """Pass on what was not terminated."""
        for stderr, splitter in self._splitters.items():
            self._say(splitter.end(), stderr=stderr, when=self._last)

    def _say(self, lines: list[str], *, stderr: bool, when: bytes) -> None:
        for text in lines:
            self._logs.line(text, stderr=stderr, offset=self._offset, at=_time(when))
            self._offset += 1


def _time(when: bytes) -> datetime:
    return datetime.fromisoformat(when[:26].decode().rstrip("Z") + "+00:00")
