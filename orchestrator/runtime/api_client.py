"""A small blocking HTTP client of the API: connections are kept, and a restart of the API is waited out."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlencode, urlsplit

from orchestrator.errors import BadSettings, Conflict, NotAllowed, NotFound, OrchestratorError, Refused, Unavailable
from orchestrator.runtime.interrupt import Interrupt

AWAY = 60.0  # seconds that the API may be away
TIMEOUT = 30.0  # seconds for a connection and between bytes
CHUNK = 1 << 20
_BY_STATUS: Mapping[int, type[OrchestratorError]] = {401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 410: NotFound}
_BY_CODE: Mapping[str, type[OrchestratorError]] = {BadSettings.code: BadSettings}

Body = bytes | Path | BinaryIO | None
Query = Mapping[str, str] | Sequence[tuple[str, str]]


class ApiClient:
    """Requests to one server. Safe in threads; idle connections are shared."""

    def __init__(self, url: str, *, away: float = AWAY) -> None:
        parts = urlsplit(url)
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname or "127.0.0.1", parts.port
        self._prefix, self._away = parts.path.rstrip("/"), away
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, token: str, *, query: Query | None = None, body: Body = None, interrupt: Interrupt | None = None) -> Answer:
        """The answer's body, to be read and closed. `body` may be bytes, a file's path, or a stream, which is then read
        from where it stands (and, when it can seek, from there again when the request is repeated).

        Raises by the status: NotFound, NotAllowed, Conflict, Refused; Unavailable once the API has been away too long,
        or `interrupt` is set."""
        interrupt = interrupt or Interrupt()
        target = self._prefix + path + ("?" + urlencode(query) if query else "")
        sending = Sending(body)
        deadline, pause = time.monotonic() + self._away, 0.05
        while True:
            try:
                return self._once(method, target, token, sending, interrupt)
            except (OSError, http.client.HTTPException, Unavailable) as err:
                interrupt.check()
                if time.monotonic() + pause > deadline or not sending.rewind():
                    raise Unavailable(f"the API does not answer: {err}") from err
            interrupt.pause(pause)
            pause = min(2.0, pause * 2)

    def copy(self, path: str, token: str, query: Mapping[str, str], to: Path, *, interrupt: Interrupt | None = None) -> None:
        """Download into a file, whole or not at all. Raises as `ask`."""
        aside = to.with_name(f".{to.name}.{threading.get_ident()}")
        deadline = time.monotonic() + self._away
        try:
            while True:
                try:
                    with self.ask("GET", path, token, query=query, interrupt=interrupt) as answer, aside.open("wb") as file:
                        shutil.copyfileobj(answer, file, CHUNK)
                    break
                except (http.client.HTTPException, ConnectionError, TimeoutError) as err:
                    if time.monotonic() > deadline:
                        raise Unavailable(f"the API broke off: {err}") from err
            os.replace(aside, to)
        finally:
            aside.unlink(missing_ok=True)

    def _once(self, method: str, target: str, token: str, sending: Sending, interrupt: Interrupt) -> Answer:
        connection, kept = self._connection()
        headers = {"Authorization": f"Bearer {token}", **sending.headers()}

        def asked() -> http.client.HTTPResponse:
            interrupt.begin(connection)
            connection.request(method, target, body=sending.content(), headers=headers, encode_chunked=sending.chunked)
            interrupt.check()
            return connection.getresponse()

        try:
            try:
                response = asked()
            except (ConnectionError, http.client.BadStatusLine):
                if not kept or not sending.rewind():
                    raise
                interrupt.end(connection)
                connection.close()  # the server had closed an idle connection: no failure
                connection = self._new()
                response = asked()
        except BaseException:
            interrupt.end(connection)
            connection.close()
            raise
        answer = Answer(self, connection, response, interrupt)
        if response.status >= 400:
            with answer:
                raise _problem(response.status, answer.read())
        return answer

    def _new(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=TIMEOUT)

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._idle:
                return self._idle.pop(), True
        return self._new(), False

    def keep(self, connection: http.client.HTTPConnection) -> None:
        """Take back a connection whose answer has been read to its end."""
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


class Answer(io.RawIOBase, BinaryIO):
    """A response's bytes as a file; its connection goes back when they were read to the end.

    Reading raises HTTPException or OSError when the connection ends before that, Unavailable when it was interrupted."""

    def __init__(self, client: ApiClient, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, interrupt: Interrupt) -> None:
        self._client, self._connection, self._response, self._interrupt = client, connection, response, interrupt

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._breaking():
            return self._some(self._response.readinto(buffer), len(buffer))

    def read(self, size: int = -1) -> bytes:
        with self._breaking():
            data = self._response.read(None if size is None or size < 0 else size)
            self._some(len(data), size)
            return data

    def _some(self, count: int, size: int) -> int:
        """The module takes a connection that ends too soon for the end of what it brings, when it is read by pieces."""
        if not count and size and self._response.length:
            raise http.client.IncompleteRead(b"", self._response.length)
        return count

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException):
            self._interrupt.check()
            raise

    def __enter__(self) -> Answer:
        return self

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        whole = self._response.isclosed() and not self._response.will_close
        self._response.close()
        self._interrupt.end(self._connection)
        if whole:
            self._client.keep(self._connection)
        else:
            self._connection.close()


class Sending:
    """A request's body, that may have to be sent again."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._at = body.tell() if body is not None and not isinstance(body, bytes | Path) and body.seekable() else None
        self.chunked = body is not None and not isinstance(body, bytes)

    def headers(self) -> dict[str, str]:
        if self._body is None:
            return {}
        return {"Transfer-Encoding": "chunked", "Content-Type": "application/octet-stream"} if self.chunked else {"Content-Type": "application/json"}

    def content(self) -> bytes | Iterator[bytes] | None:
        if self._body is None or isinstance(self._body, bytes):
            return self._body
        return _chunks(self._body)

    def rewind(self) -> bool:
        """Whether the body can be sent again."""
        if self._body is None or isinstance(self._body, bytes | Path):
            return True
        if self._at is None:
            return False
        self._body.seek(self._at)
        return True


def _chunks(body: Path | BinaryIO) -> Iterator[bytes]:
    if isinstance(body, Path):
        with body.open("rb") as file:
            yield from _chunks(cast(BinaryIO, file))
        return
    while chunk := body.read(CHUNK):
        yield chunk


def _problem(status: int, text: bytes) -> OrchestratorError:
    try:
        told = json.loads(text)
        message, code = str(told.get("message") or status), str(told.get("code"))
    except (ValueError, AttributeError):
        message, code = text.decode(errors="replace")[:500] or f"HTTP {status}", ""
    if status >= 500 or status == 429:
        return Unavailable(message)
    return (_BY_CODE.get(code) or _BY_STATUS.get(status, Refused))(message)
