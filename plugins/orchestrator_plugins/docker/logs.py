"""From the engine's log to lines, each once and in order, whatever the engine loses on the way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from datetime import datetime

from orchestrator.sdk import LineSplitter, LogSink

HEADER = struct.Struct(">BxxxL")
STDERR = 2


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

    A followed log may lack its last entry, and one that is read again from a time begins with all entries of that
    time: so the last time is kept, and how many entries of it were taken.
    """

    def __init__(self, logs: LogSink) -> None:
        self._logs = logs
        self._splitters = {False: LineSplitter(), True: LineSplitter()}
        self._offset = 0
        self._last, self._taken = b"", 0

    @property
    def since(self) -> str | None:
        """Where to go on: seconds since 1970 with nine decimals."""
        if not self._last:
            return None
        seconds, fraction = self._last.rstrip(b"Z").split(b".")
        return f"{int(datetime.fromisoformat(seconds.decode() + '+00:00').timestamp())}.{fraction.decode():0<9}"

    def take(self, chunks: Iterable[bytes]) -> None:
        """Read on; `chunks` are a log from `since`."""
        again = self._taken
        for stderr, when, data in entries(chunks):
            if again and when == self._last:
                again -= 1
                continue
            again = 0
            self._taken = self._taken + 1 if when == self._last else 1
            self._last = when
            self._say(self._splitters[stderr].feed(data), stderr=stderr, when=when)

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
