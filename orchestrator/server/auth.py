"""Who may pass: the API token, run-scoped tokens, and, where no token is set, only this machine's own pages and programs."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.model.run_token import RunTokens
from orchestrator.server.answers import made
from orchestrator.server.problems import problem

OPEN = frozenset({"/health"})
INTERNAL = "/api/v1/internal/"
RUNS = INTERNAL + "runs/"
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Door:
    """Lets a request in, or answers 401 or 403 in its place. Stands after the path has been brought to one form."""

    def __init__(self, app: ASGIApp, *, api_token: str | None, run_tokens: RunTokens) -> None:
        self._app = app
        self._api_token = api_token
        self._run_tokens = run_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        if scope["path"].startswith(INTERNAL):
            status, why = self._run_refused(scope, headers)
        elif self._api_token is not None:
            status, why = (0, "") if _secret_of(headers, self._api_token) else (401, "a token is needed, or this is not the right one")
        else:
            status, why = _stranger(scope["method"], headers)
        if status == 0:
            return await self._app(scope, receive, send)
        refusal = made(problem(scope["path"], why), status)
        if status == 401:
            refusal.headers["WWW-Authenticate"] = 'Basic realm="orchestrator"'
        await refusal(scope, receive, send)

    def _run_refused(self, scope: Scope, headers: Headers) -> tuple[int, str]:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        grant = self._run_tokens.grant_of(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None:
            return 401, "the run's token is missing, wrong or has expired"
        path: str = scope["path"]
        run, _, what = path[len(RUNS) :].partition("/")
        if not path.startswith(RUNS) or run != grant.run:
            return 403, "this token belongs to another execution"
        if grant.namespace is not None and not _is_of(what, grant.namespace):
            return 403, f"a trigger's evaluation may reach its own files and what belongs to namespace {grant.namespace}, nothing else"
        scope.setdefault("state", {})["grant"] = grant
        return 0, ""


def _is_of(what: str, namespace: str) -> bool:
    """Whether what follows the run's id in a path is its own, or its namespace's."""
    first, *rest = what.split("/")
    return what in ("seal", "secret") or first == "files" or (first in ("kv", "namespace-files") and rest[:1] == [namespace])


def _secret_of(headers: Headers, expected: str) -> bool:
    """Whether the request carries the token: as Bearer, or as the password of Basic."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), expected.encode())


def _stranger(method: str, headers: Headers) -> tuple[int, str]:
    """A web page of another site must not act on this machine's server, nor read from it by a name it made resolve to here."""
    if not is_loopback(headers.get("host", "")):
        return 403, "without an API token this server answers only to the name of its own machine (localhost)"
    if method in READING:
        return 0, ""
    origin = headers.get("origin")
    foreign = headers.get("sec-fetch-site") == "cross-site" if origin is None else not is_loopback(urlsplit(origin).netloc)
    return (403, "pages of other sites may not change anything here") if foreign else (0, "")


def is_loopback(host: str) -> bool:
    """Whether a `host[:port]` names this very machine."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
