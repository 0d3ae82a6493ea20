"""By which one caller's requests are ended from another thread."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress

from orchestrator.errors import Unavailable


class Interrupt:
    """Once it is set, requests that are under way break off, and none begins."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._busy: set[http.client.HTTPConnection] = set()

    def set(self) -> None:
        with self._lock:
            self._set.set()
            for connection in self._busy:
                _break(connection)

    def check(self) -> None:
        """Raise Unavailable once it is set."""
        if self._set.is_set():
            raise Unavailable("the run was stopped")

    def pause(self, seconds: float) -> None:
        """Wait so long, or until it is set. Raises Unavailable then."""
        self._set.wait(seconds)
        self.check()

    def begin(self, connection: http.client.HTTPConnection) -> None:
        """A request is about to use a connection."""
        with self._lock:
            self.check()
            self._busy.add(connection)

    def end(self, connection: http.client.HTTPConnection) -> None:
        """It is done with it."""
        with self._lock:
            self._busy.discard(connection)


def _break(connection: http.client.HTTPConnection) -> None:
    """Whoever reads from or writes to it is woken; closing would wake nobody."""
    line: socket.socket | None = connection.sock
    if line is not None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
