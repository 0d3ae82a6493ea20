"""From the events of a log stream to lines, each once and in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.sdk import LineSplitter, LogSink

LONG = 16_000  # bytes of an event that the driver may have cut: what comes without a record's head after it belongs to it
_HEAD = re.compile("\x1e([oez])\x1f")


class Records:
    """One reading of a job's main log from its first event. Events that were glued together or cut come apart and together again."""

    def __init__(self, logs: LogSink) -> None:
        self._logs = logs
        self._offset = 0
        self._kind, self._at = "o", datetime.now(UTC)
        self._parts: list[str] = []
        self._open = self._long = False
        self.complete = False  # the last record has come

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Read on; an event has a `message` and its `timestamp`, milliseconds since 1970."""
        for event in events:
            self._event(str(event["message"]), datetime.fromtimestamp(int(event["timestamp"]) / 1000, UTC))

    def _event(self, message: str, at: datetime) -> None:
        before, *rest = _HEAD.split(message)
        if before and self._open and self._long:
            self._parts.append(before)
        elif before:
            self._begin("o", at)
            self._parts.append(before)
        for kind, text in zip(rest[::2], rest[1::2], strict=True):
            self._begin(kind, at)
            self._parts.append(text)
        self._long = len(message.encode()) >= LONG
        if self._open and not self._long:
            self._say()

    def _begin(self, kind: str, at: datetime) -> None:
        self._say()
        self._kind, self._at, self._open = kind, at, True

    def end(self) -> None:
        """Pass on what still might have gone on."""
        self._say()

    def _say(self) -> None:
        if not self._open:
            return
        text = "".join(self._parts)
        self._parts, self._open = [], False
        if self._kind == "z":
            self.complete = True
            return
        for line in _lines(text):
            self._logs.line(line, stderr=self._kind == "e", offset=self._offset, at=self._at)
            self._offset += 1


def _lines(text: str) -> list[str]:
    return LineSplitter().feed((text if text.endswith("\n") else text + "\n").encode(errors="replace"))
