"""What a machine that joins, or has joined, asks the server: over HTTP, with the token it was given, and then with that of its node."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import timedelta
from http.client import HTTPException
from typing import Any

from orchestrator import __version__
from orchestrator.errors import BadSettings, Conflict, NotAllowed, NotFound, OrchestratorError, Refused, ServerUnreachable, Unavailable
from orchestrator.model.values import format_duration
from orchestrator.model.versions import Versions, misfits

PATIENCE = 15.0  # seconds for an answer to a request that matters
GLANCE = 3.0  # seconds for one that is made again soon
_BY_STATUS: Mapping[int, type[OrchestratorError]] = {401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict}


def own_versions() -> Versions:
    """Those of this machine."""
    return Versions(orchestrator=__version__, ray=importlib.metadata.version("ray"), python=platform.python_version())


class JoinClient:
    """A server at an address. All raise Refused (NotAllowed, NotFound, Conflict) for a definite no, and Unavailable else."""

    def __init__(self, server: str, token: str | None) -> None:
        self.url, self._token = _address(server), token

    def join(self, *, group: str, slots: int, labels: Mapping[str, str], create: bool) -> dict[str, Any]:
        """Where the cluster is, and what opens it. Raises Conflict when this machine's versions do not fit."""
        mine = own_versions()
        request = {"group": group, "slots": slots, "labels": dict(labels), "create": create, "versions": mine.model_dump()}
        told: dict[str, Any] = self._call("POST", "/api/v1/cluster/join", request)
        given = {name: told.get(f"{key}_version") for name, key in (("orchestrator", "server"), ("ray", "ray"), ("python", "python"))}
        wrong = misfits(mine, Versions.model_validate(given)) if all(given.values()) else ()
        if wrong:
            raise Conflict(f"this machine cannot join: {', '.join(wrong)}; install the server's versions")
        return told

    def fares(self, mark: str, node_token: str) -> dict[str, Any]:
        """How the worker of the node with that mark fares, and the server's present session."""
        found: dict[str, Any] = self._call("GET", f"/api/v1/cluster/joined/{mark}", token=node_token, within=GLANCE)
        return found

    def drain(self, mark: str, node_token: str, grace: timedelta) -> None:
        """Have that worker sent nothing more."""
        self._call("POST", f"/api/v1/cluster/joined/{mark}/drain", {"grace": format_duration(grace)}, token=node_token, within=GLANCE)

    def _call(self, method: str, path: str, body: Any = None, *, token: str | None = None, within: float = PATIENCE) -> Any:
        token = token or self._token
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode() if body is not None else None, headers, method=method)  # noqa: S310 - the user's own server
        try:
            with urllib.request.urlopen(request, timeout=within) as answer:  # noqa: S310
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as err:
            raise self._refused(err, token) from err
        except (OSError, ValueError, HTTPException) as err:
            why = getattr(err, "reason", None) or err
            raise ServerUnreachable(f"no server answers at {self.url} ({why}): start it, or name the right address with --server") from err

    def _refused(self, err: urllib.error.HTTPError, token: str | None) -> OrchestratorError:
        try:
            said = str(json.loads(err.read())["message"])
        except (OSError, ValueError, KeyError, TypeError, HTTPException):
            return ServerUnreachable(f"{self.url} answers {err.code}, not as an orchestrator server: name the right address with --server")
        if err.code >= 500 or err.code == 429:
            return Unavailable(f"{self.url} cannot serve this now: {_bare(said)}")
        if err.code == 401:
            given = "this token" if token else "anybody without a token"
            return NotAllowed(f"{self.url} does not accept {given} ({said}): give a join token, or the server's, with ORCHESTRATOR_API_TOKEN or --api-token")
        return _BY_STATUS.get(err.code, Refused)(_bare(said))


def _bare(said: str) -> str:
    """A message without the word that tells its kind to programs."""
    for word in ("Forbidden: ", "Not Found: ", "Illegal state: ", "Illegal argument: ", "Unavailable: "):
        said = said.removeprefix(word)
    return said


def _address(server: str) -> str:
    found = server.rstrip("/") if "://" in server else f"http://{server.rstrip('/')}"
    if urllib.parse.urlsplit(found).scheme not in ("http", "https") or not urllib.parse.urlsplit(found).hostname:
        raise BadSettings(f"`{server}` is not a server's address: write it as http://HOST:PORT")
    return found
