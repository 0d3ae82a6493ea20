"""One port for gRPC and HTTP: the first bytes tell which of the two servers behind it is meant."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

HTTP2 = b"PRI"
CHUNK = 1 << 18


class Door:
    """Listens at an address and passes every connection on to a port of loopback."""

    def __init__(self, host: str, port: int, *, grpc_port: int, http_port: int) -> None:
        self._ports = {True: grpc_port, False: http_port}
        self._listening = socket.create_server((host, port))
        self.port = int(self._listening.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                coming, _ = self._listening.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._pass_on, args=(coming,), daemon=True).start()

    def _pass_on(self, coming: socket.socket) -> None:
        with suppress(OSError):
            first = coming.recv(len(HTTP2), socket.MSG_PEEK)
            behind = socket.create_connection(("127.0.0.1", self._ports[first.startswith(HTTP2[: len(first) or 1])]))
            for one in (coming, behind):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {coming, behind}
            back = threading.Thread(target=self._copy, args=(behind, coming), daemon=True)
            back.start()
            self._copy(coming, behind)
            back.join()
            self._open -= {coming, behind}
            behind.close()
        coming.close()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
