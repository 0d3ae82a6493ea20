"""HTTP to the server: one connection per request, JSON answers, server-sent events, and failures as our own errors.

Built on http.client: it is loaded ten times faster than the friendlier libraries, and every command pays for that.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from orchestrator.errors import (
    BadSettings,
    Conflict,
    FlowInvalid,
    InputInvalid,
    NotAllowed,
    NotFound,
    OrchestratorError,
    Refused,
    ServerUnreachable,
    Unavailable,
)

API = "/api/v1"
Query = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back for a request, whatever its status."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON, None when it is empty. Raises ValueError when it is something else."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True)
class Body:
    """What is sent along with a request."""

    data: bytes
    content_type: str


class Client:
    """A server at an address. `timeout` bounds, in seconds, every wait for a byte but those of an event stream."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise BadSettings(f"`{url}` is not a server's address\n  help: write it as http://HOST:PORT")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._secure, self._host, self._port, self._path = parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout

    def ask(self, method: str, path: str, *, query: Query = (), body: Body | None = None, timeout: float | None = None) -> Answer:
        """Send one request and read the whole answer. Raises ServerUnreachable when none comes."""
        connection, response = self._send(method, path, query, body, timeout or self._timeout)
        try:
            return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException) as err:
            raise self._unreachable(err) from err
        finally:
            connection.close()

    def json(self, method: str, path: str, *, query: Query = (), body: Body | None = None) -> Any:
        """The JSON of a good answer. Raises the error that a bad one stands for."""
        return self.good(self.ask(method, path, query=query, body=body))

    def good(self, answer: Answer) -> Any:
        """The JSON of an answer, or the error that it stands for. Raises ServerUnreachable when it is not of our server."""
        try:
            value = answer.json()
        except ValueError as err:
            if answer.status in (401, 403, 502, 503, 504):
                value = None
            else:
                raise ServerUnreachable(f"{self.url} answers, but not as an orchestrator server\n  help: name the right address with --server") from err
        if answer.status >= 400:
            raise _error(answer.status, value if isinstance(value, dict) else {}, self.url)
        return value

    def events(self, path: str, *, silence: float = 300.0) -> Iterator[tuple[str, Any]]:
        """The events of a stream as (id, data), until the server closes it.

        Raises ServerUnreachable when it breaks or says nothing for `silence` seconds. Closing the iterator ends the connection.
        """
        connection, response = self._send("GET", path, (), None, silence)
        try:
            if response.status != 200:
                self.good(Answer(response.status, response.read()))
            yield from _events(response)
        except (OSError, http.client.HTTPException, ValueError) as err:
            raise self._unreachable(err) from err
        finally:
            response.close()
            connection.close()

    def _send(self, method: str, path: str, query: Query, body: Body | None, timeout: float) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout)
        headers = {**self._headers, "Accept": "*/*", **({"Content-Type": body.content_type} if body else {})}
        target = self._path + path + (f"?{urlencode(query)}" if query else "")
        try:
            connection.request(method, target, body=None if body is None else body.data, headers=headers)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as err:
            connection.close()
            raise self._unreachable(err) from err

    def _unreachable(self, err: Exception) -> ServerUnreachable:
        why = getattr(err, "strerror", None) or str(err) or type(err).__name__
        return ServerUnreachable(
            f"no server answers at {self.url} ({why})\n  help: start one with `orchestrator server local`, or name another: --server URL, ORCHESTRATOR_SERVER"
        )


def path(*segments: str) -> str:
    """A path of the API; each segment is escaped whole."""
    return "/".join([API, *(quote(segment, safe="") for segment in segments)])


def yaml_body(source: str) -> Body:
    return Body(source.encode(), "application/x-yaml")


def json_body(value: Any) -> Body:
    return Body(json.dumps(value).encode(), "application/json")


def form_body(fields: Mapping[str, str], files: Mapping[str, tuple[str, bytes]]) -> Body | None:
    """A multipart form, or None when it would be empty. `files` are (file name, bytes) by part name."""
    from secrets import token_hex

    if not fields and not files:
        return None
    mark = token_hex(16)
    parts = [_part(mark, f'name="{_quoted(name)}"', value.encode()) for name, value in fields.items()]
    parts += [_part(mark, f'name="{_quoted(name)}"; filename="{_quoted(file)}"', data, "application/octet-stream") for name, (file, data) in files.items()]
    return Body(b"".join(parts) + f"--{mark}--\r\n".encode(), f"multipart/form-data; boundary={mark}")


def _part(mark: str, disposition: str, data: bytes, content_type: str | None = None) -> bytes:
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"--{mark}\r\nContent-Disposition: form-data; {disposition}\r\n{kind}\r\n".encode() + data + b"\r\n"


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    data: list[str] = []
    while line := response.readline():
        text = line.decode(errors="replace").rstrip("\r\n")
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if not text and data:
            yield name, json.loads("\n".join(data))
        if not text:
            name, data = "", []
        elif field == "id":
            name = value
        elif field == "data":
            data.append(value)


def _error(status: int, told: Mapping[str, Any], url: str) -> OrchestratorError:
    """The error behind a status; a flow's problems come along as `diagnostics`."""
    message = str(told.get("message") or told.get("reason") or f"the server answered {status}")
    if status == 401:
        why = f" ({message})" if message.startswith("this ") else ""  # of a token that is known
        return NotAllowed(f"{url} refuses the API token{why}\n  help: give the server's own with ORCHESTRATOR_API_TOKEN or --api-token")
    if status == 403:
        return NotAllowed(message.removeprefix("Forbidden: "))
    if status in (404, 410):
        return NotFound(message.removeprefix("Not Found: "))
    if status == 409:
        return Conflict(message.removeprefix("Illegal state: "))
    if status in (429, 502, 503, 504):
        return Unavailable(f"the server at {url} cannot serve this now: {message.removeprefix('Unavailable: ')}")
    if status >= 500:
        return ServerUnreachable(f"the server at {url} failed: {message}\n  help: its log says more; `orchestrator doctor` looks at the usual causes")
    if told.get("diagnostics") or told.get("code") == FlowInvalid.code:
        return FlowInvalid(message.removeprefix("Invalid entity: "), tuple(told.get("diagnostics") or ()))
    kind = InputInvalid if told.get("code") == InputInvalid.code else Refused
    return kind(message.removeprefix("Invalid entity: ").removeprefix("Illegal argument: ").removeprefix("Bad Request: "))
