"""The REST calls that the workloads make, and nothing more: one kept connection per thread."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
import uuid
from datetime import datetime
from typing import Any

ENDED = {"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED"}
Json = dict[str, Any]


class Api:
    """A server by its URL. Raises RuntimeError for an answer of 400 or more."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self._where = urllib.parse.urlsplit(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._mine = threading.local()

    def save(self, source: str) -> None:
        self._call("POST", "/api/v1/flows", source.encode(), "application/x-yaml")

    def execute(self, namespace: str, flow: str, *, wait: bool) -> Json:
        boundary = uuid.uuid4().hex
        form = f'--{boundary}\r\nContent-Disposition: form-data; name="unused"\r\n\r\n1\r\n--{boundary}--\r\n'
        return self._call("POST", f"/api/v1/executions/{namespace}/{flow}?wait={str(wait).lower()}", form.encode(), f"multipart/form-data; boundary={boundary}")

    def until_ended(self, execution: str, *, every: float, limit: float = 600.0) -> Json:
        """The execution once it has ended, asked for each `every` seconds. Raises TimeoutError after `limit` seconds."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            found = self._call("GET", f"/api/v1/executions/{execution}")
            if found["state"]["current"] in ENDED:
                return found
            time.sleep(every)
        raise TimeoutError(f"{execution} has not ended within {limit:g} s")

    def logs(self, execution: str) -> list[Json]:
        """The lines of an execution so far."""
        found: Any = self._call("GET", f"/api/v1/logs/{execution}")
        return list(found)

    def _call(self, method: str, path: str, body: bytes | None = None, kind: str | None = None) -> Json:
        headers = {**self._headers, **({"Content-Type": kind} if kind else {})}
        try:
            answer, content = self._answer(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionError):  # the server closes a connection that rested for some seconds
            self._mine.connection = None
            answer, content = self._answer(method, path, body, headers)
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content) if content else {}

    def _answer(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._mine, "connection", None)
        if connection is None:
            assert self._where.hostname is not None
            connection = self._mine.connection = http.client.HTTPConnection(self._where.hostname, self._where.port, timeout=300)
        return connection


def moment(text: str) -> float:
    """Seconds since 1970 of a timestamp as the API writes it (up to nine digits behind the point)."""
    head, _, rest = text.replace("Z", "+00:00").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :]
    return datetime.fromisoformat(f"{head}.{digits[:6]:0<6}{zone}" if rest else head).timestamp()
