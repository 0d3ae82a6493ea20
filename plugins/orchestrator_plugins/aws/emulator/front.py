"""What answers at the emulator's address: our Batch jobs, moto's other services, and the faults ordered before either."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from orchestrator_plugins.aws.emulator.faults import Faults
from orchestrator_plugins.aws.emulator.jobs_api import ClientError, JobsApi

Start = Callable[..., Any]
App = Callable[[dict[str, Any], Start], Iterable[bytes]]
_SCOPE = re.compile(r"Credential=[^/]*/\d+/([a-z0-9-]+)/([a-z0-9-]+)/")
_ORDERS = frozenset({"hold", "release", "slow", "throttle", "lose_answers", "know_nothing", "lag_lists", "delay_logs", "glue_logs", "calm"})


class Front:
    """The WSGI application."""

    def __init__(self, moto: App, *, account: str, faults: Faults, jobs_of: Callable[[str], JobsApi], default_region: str) -> None:
        self._moto, self._account, self._faults, self._jobs_of, self._region = moto, account, faults, jobs_of, default_region
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()  # by action, in lower case

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = self._account
        path = str(environ.get("PATH_INFO", ""))
        if path == "/emulator/faults":
            return self._ordered(environ, start)
        region, service = _scope(environ, self._region)
        action = _action(environ, path, service)
        with self._lock:
            self.calls[action] += 1
        if self._faults.is_throttled(action):
            return _answer(start, "429 Too Many Requests", {"message": "Too Many Requests"}, error="TooManyRequestsException")
        if not self._faults.loses_answer(action):
            return self._carried_out(environ, start, region=region, service=service, action=action)
        list(self._carried_out(environ, lambda *_: None, region=region, service=service, action=action))
        return _broken(environ, start)

    def _carried_out(self, environ: dict[str, Any], start: Start, *, region: str, service: str, action: str) -> Iterable[bytes]:
        jobs = self._jobs_of(region) if service == "batch" else None
        if jobs is None or not jobs.answers(action):
            return self._moto(environ, start)
        try:
            return _answer(start, "200 OK", jobs.call(action, _body(environ)))
        except ClientError as err:
            return _answer(start, "400 Bad Request", {"message": str(err)}, error="ClientException")

    def _ordered(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """`{"hold": ["RUNNABLE", "why"]}`: the methods of Faults with their arguments."""
        orders = _body(environ)
        if set(orders) - _ORDERS:
            return _answer(start, "400 Bad Request", {"message": f"orders are {', '.join(sorted(_ORDERS))}"})
        for name, arguments in orders.items():
            getattr(self._faults, name)(*(arguments if isinstance(arguments, list) else [arguments]))
        return _answer(start, "200 OK", {})


def _scope(environ: Mapping[str, Any], default: str) -> tuple[str, str]:
    """Region and service that a signed request names."""
    found = _SCOPE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    return (found[1], found[2]) if found else (default, "s3")


def _action(environ: Mapping[str, Any], path: str, service: str) -> str:
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    return (target.rpartition(".")[2] or (path.removeprefix("/v1/") if service == "batch" else f"{service}:{environ['REQUEST_METHOD']}")).lower()


def _body(environ: Mapping[str, Any]) -> dict[str, Any]:
    text = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    found: dict[str, Any] = json.loads(text or b"{}")
    return found


def _answer(start: Start, status: str, body: Mapping[str, Any], error: str | None = None) -> Iterable[bytes]:
    headers = [("Content-Type", "application/json"), *([("x-amzn-ErrorType", error)] if error else [])]
    text = json.dumps(body).encode()
    start(status, [*headers, ("Content-Length", str(len(text)))])
    return [text]


def _broken(environ: Mapping[str, Any], start: Start) -> Iterable[bytes]:
    """Close the connection without an answer."""
    import socket

    connection = environ.get("werkzeug.socket")
    if connection is not None:
        connection.shutdown(socket.SHUT_RDWR)
    start("500 Internal Server Error", [("Content-Length", "0")])
    return []
