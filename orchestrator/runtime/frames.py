"""JSON values over a socket between two processes of one machine: one a line, descriptors beside them."""

from __future__ import annotations

import array
import json
import os
import socket
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestrator.model.values import Json

CHUNK = 1 << 18
MOST_DESCRIPTORS = 8  # that come with one read


class Frames:
    """One end of the line. Many threads may send, one receives."""

    def __init__(self, line: socket.socket) -> None:
        self._line, self._sending = line, threading.Lock()
        self._ready: deque[bytes] = deque()
        self._parts: list[bytes] = []  # of a value that has not come whole
        self._descriptors: deque[int] = deque()

    def send(self, value: Mapping[str, Json], descriptors: Sequence[int] = ()) -> None:
        """Send a value, with copies of descriptors. Raises OSError when nobody reads any more."""
        self.send_text(json.dumps(value, separators=(",", ":")), descriptors)

    def send_text(self, text: str, descriptors: Sequence[int] = ()) -> None:
        """As `send`, for a value that is JSON already and on one line."""
        data = text.encode() + b"\n"
        with self._sending:
            if descriptors:
                sent = socket.send_fds(self._line, [data], list(descriptors))
                data = data[sent:]
            self._line.sendall(data)

    def tell(self, value: Mapping[str, Json]) -> bool:
        """Send a small value if that needs no waiting; whether it was sent."""
        if not self._sending.acquire(blocking=False):
            return False
        try:
            data = json.dumps(value).encode() + b"\n"
            return self._line.send(data, socket.MSG_DONTWAIT) == len(data)
        except OSError:
            return False
        finally:
            self._sending.release()

    def receive(self) -> dict[str, Any] | None:
        """The next value; None once the other end has gone and all it sent was taken."""
        while not self._ready:
            try:
                data, extra, _, _ = self._line.recvmsg(CHUNK, socket.CMSG_LEN(4 * MOST_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return None
            self._keep(extra)
            if not data:
                return None
            *whole, rest = data.split(b"\n")
            if whole:
                whole[0] = b"".join((*self._parts, whole[0]))
                self._parts.clear()
                self._ready.extend(whole)
            if rest:
                self._parts.append(rest)
        value: dict[str, Any] = json.loads(self._ready.popleft())
        return value

    def _keep(self, extra: Sequence[tuple[int, int, bytes]]) -> None:
        for _, _, given in extra:
            numbers = array.array("i")
            numbers.frombytes(given[: len(given) - len(given) % numbers.itemsize])
            self._descriptors.extend(numbers)

    def descriptor(self) -> int:
        """The next descriptor that came with what was received. Raises IndexError when there is none."""
        return self._descriptors.popleft()

    def hush(self) -> None:
        """Take nothing more from the other end but what it has sent already; a receiver that waits is woken."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RD)

    def leave(self) -> None:
        """Close this process's copy of its end; the line goes on for those who have others."""
        self._line.close()

    def close(self) -> None:
        """End the line; whoever waits at either end is woken."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)
        self._line.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
