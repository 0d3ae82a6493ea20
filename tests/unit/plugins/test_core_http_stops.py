"""HTTP tasks that are killed or outlast their time while a server keeps them waiting: they end, and so do their connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.runtime.worker_house import PATIENCE, House

REQUEST, DOWNLOAD = "io.kestra.plugin.core.http.Request", "io.kestra.plugin.core.http.Download"
LIMIT = 2.0  # seconds of timeout
WITHIN = 1.0  # seconds from a stop to the outcome
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"


class Silent:
    """A server that answers with `says`, and then nothing."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/"
        self.asked, self.left = threading.Event(), threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        client, _ = self._listening.accept()
        with client:
            client.recv(65536)
            client.sendall(self._says)
            self.asked.set()
            with suppress(ConnectionError):
                while client.recv(65536):
                    pass
            self.left.set()

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base")
    yield made
    made.worker.close()


def begun(house: House, kind: str, says: bytes, **facts: Any) -> Silent:
    server = Silent(says)
    house.run({"type": kind, "uri": server.url}, **facts)
    assert server.asked.wait(PATIENCE)
    return server


def connecting(port: int) -> int:
    """How many connections of this process to a port are not made yet."""
    return sum(one.status == psutil.CONN_SYN_SENT and one.raddr.port == port for one in psutil.Process().net_connections() if one.raddr)


def until_one_more_than(before: int, port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while connecting(port) <= before:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


@pytest.mark.parametrize(("kind", "says"), [(REQUEST, b""), (REQUEST, HALF), (DOWNLOAD, b""), (DOWNLOAD, HALF)])
def test_a_kill_ends_it_and_its_connection(house: House, kind: str, says: bytes) -> None:
    server = begun(house, kind, says)
    began = time.monotonic()
    house.stop()
    assert house.executor.outcome()["state"] == "KILLED"
    assert time.monotonic() - began < WITHIN
    assert server.left.wait(0.2)
    assert house.executor.lines() == []
    server.close()


@pytest.mark.parametrize("kind", [REQUEST, DOWNLOAD])
def test_a_timeout_ends_it_and_its_connection(house: House, kind: str) -> None:
    began = time.monotonic()
    server = begun(house, kind, HALF, timeout=LIMIT)
    assert house.executor.outcome()["cause"] == "TIMEOUT"
    assert time.monotonic() - began < LIMIT + WITHIN
    assert server.left.wait(0.2)
    server.close()


def test_a_kill_ends_it_while_it_waits_for_a_connection(house: House) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # nobody accepts them: who comes after waits
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        port = full.getsockname()[1]
        before = connecting(port)
        house.run({"type": REQUEST, "uri": f"http://127.0.0.1:{port}/"})
        until_one_more_than(before, port)
        began = time.monotonic()
        house.stop()
        assert house.executor.outcome()["state"] == "KILLED"
        assert time.monotonic() - began < WITHIN
