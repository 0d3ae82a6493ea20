"""Who may pass: the API token, minted tokens by their role, run-scoped tokens, and, where no API token is set, only this machine's own
pages and programs."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.errors import StoreUnavailable
from orchestrator.model.access_token import AccessToken, Role, is_text_of, uid_in
from orchestrator.model.node_token import MARK as NODE_MARK
from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.server.answers import made
from orchestrator.server.problems import problem
from orchestrator.server.roles import SCOPE, Caller, may, refusal

OPEN = frozenset({"/health"})
INTERNAL = "/api/v1/internal/"
RUNS = INTERNAL + "runs/"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
JOINED = "/api/v1/cluster/joined/"
ADMINISTRATOR, CALLER_OF_NODE = Caller(Role.ADMIN), Caller(Role.NODE)
RUN_MARK = "run."
OF_A_RUN = "this is the token of a run: it opens what belongs to its execution, and nothing else"
Minted = Callable[[str], AccessToken | None]  # a token by its uid, as it was saved last. Raises StoreUnavailable


class Door:
    """Lets a request in and leaves word of who asks, or answers 401, 403 or 503 in its place.

    Stands after the path has been brought to one form. `minted` reads a minted token by its uid; `used` counts a request
    made with one.
    """

    def __init__(
        self, app: ASGIApp, *, api_token: str | None, run_tokens: RunTokens, node_tokens: NodeTokens, minted: Minted, used: Callable[[str], None]
    ) -> None:
        self._app = app
        self._api_token = api_token
        self._run_tokens, self._node_tokens = run_tokens, node_tokens
        self._minted, self._used = minted, used

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        try:
            caller, status, why = await self._judged(scope, headers)
        except StoreUnavailable as err:
            caller, status, why = None, 503, f"Unavailable: {err}"
        if status == 0:
            return await self._app({**scope, SCOPE: caller}, receive, send)
        refusal = made(problem(scope["path"], why), status)
        if status == 401:
            refusal.headers["WWW-Authenticate"] = 'Basic realm="orchestrator"'
        await refusal(scope, receive, send)

    async def _judged(self, scope: Scope, headers: Headers) -> tuple[Caller | None, int, str]:
        """Who asks, with 0 for one who may; else the status and why not."""
        method, path = scope["method"], scope["path"]
        if path.startswith(INTERNAL):
            return None, *self._run_refused(scope, headers)
        given = _given(headers)
        if self._api_token is not None and given is not None and hmac.compare_digest(given.encode(), self._api_token.encode()):
            return ADMINISTRATOR, 0, ""
        if given is not None and given.startswith(NODE_MARK):
            return CALLER_OF_NODE, *self._node_refused(method, path, given)
        uid = uid_in(given) if given is not None else None
        if given is not None and uid is not None:
            return await self._judged_by_token(method, path, given, uid)
        if self._api_token is not None:
            return None, 401, OF_A_RUN if given is not None and given.startswith(RUN_MARK) else "a token is needed, or this is not the right one"
        return ADMINISTRATOR, *_stranger(method, headers)

    async def _judged_by_token(self, method: str, path: str, text: str, uid: str) -> tuple[Caller | None, int, str]:
        """A minted token says what may be done, also where without one everything might."""
        token = await asyncio.to_thread(self._minted, uid)
        if token is None or not is_text_of(token, text):
            return None, 401, "there is no such token"
        why = token.refusal(datetime.now(UTC))
        if why is not None:
            return None, 401, why
        if not may(token.role, method, path):
            return None, 403, f"Forbidden: {refusal(token.role)}"
        if token.role is Role.VIEW:
            self._used(uid)
        return Caller(token.role, uid), 0, ""

    def _node_refused(self, method: str, path: str, token: str) -> tuple[int, str]:
        mark = self._node_tokens.mark_of(token)
        if mark is None:
            return 401, "this is not the token of a node that has joined here"
        if not may(Role.NODE, method, path) or path[len(JOINED) :].partition("/")[0] != mark:
            return 403, f"Forbidden: {refusal(Role.NODE)}"
        return 0, ""

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


def _given(headers: Headers) -> str | None:
    """The token that a request carries: as Bearer, or as the password of Basic."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return given.strip() if scheme.lower() == "bearer" else None


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
