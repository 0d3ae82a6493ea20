"""One container's output on its way to CloudWatch Logs, as the `awslogs` driver sends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.job import now_ms

LARGEST = 262_118  # bytes of one event: a longer line comes as several
Put = Callable[[Sequence[dict[str, Any]]], None]


class LogStream:
    """Takes bytes, puts events: a line each, none for an empty line; late or glued together where that was ordered."""

    def __init__(self, put: Put, faults: Faults) -> None:
        self._put, self._faults, self._rest = put, faults, b""
        self._late: list[threading.Thread] = []

    def follow(self, chunks: Iterable[bytes]) -> None:
        """Send everything, and return once it is there."""
        for chunk in chunks:
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._send(lines)
        self._send([self._rest])
        for one in self._late:
            one.join()

    def _send(self, lines: Sequence[bytes]) -> None:
        texts = [text for line in lines for text in _cut(line)]
        size = max(1, self._faults.glued)
        glued = ["\r".join(texts[at : at + size]) for at in range(0, len(texts), size)]
        events = [{"timestamp": now_ms(), "message": text} for text in glued]
        if events and self._faults.logs_late:
            self._later(events, self._late[-1] if self._late else None)
        elif events:
            self._put(events)

    def _later(self, events: Sequence[dict[str, Any]], before: threading.Thread | None) -> None:
        def put(seconds: float) -> None:
            time.sleep(seconds)
            if before is not None:
                before.join()
            self._put(events)

        self._late.append(threading.Thread(target=put, args=(self._faults.logs_late,), daemon=True))
        self._late[-1].start()


def _cut(line: bytes) -> list[str]:
    """A line as texts that fit an event, never within a character."""
    line = line.removesuffix(b"\r")
    texts = []
    while line:
        end = min(len(line), LARGEST)
        while end < len(line) and end > LARGEST - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        texts.append(line[:end].decode(errors="replace"))
        line = line[end:]
    return texts
