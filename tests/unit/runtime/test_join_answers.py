"""What a machine that joins makes of the server's answers, before there is any Ray."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.errors import BadSettings, Conflict, NotAllowed, NotFound, OrchestratorError, Refused, ServerUnreachable, Unavailable
from orchestrator.runtime.join_client import JoinClient, own_versions
from orchestrator.runtime.joining import Joined, Joining, checked_group, checked_labels


class Site:
    """A server of canned answers: each (status, body) is given once, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str | None, Any]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                site.asked.append((f"{self.command} {self.path}", self.headers.get("Authorization"), body))
                status, told = site.answers.pop(0) if len(site.answers) > 1 else site.answers[0]
                text = told.encode() if isinstance(told, str) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A foreground takes the signals of its process: give them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def versions(**more: str) -> dict[str, str]:
    mine = own_versions()
    return {"server_version": mine.orchestrator, "ray_version": mine.ray, "python_version": mine.python, **more}


def join(site: Site, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"group": "gpu", "slots": 2, "labels": {}, "create": False, **more}
    return JoinClient(site.url, "token").join(**given)


def test_a_machine_says_who_it_is_and_with_what_versions(site: Site) -> None:
    site.answers = [(200, {"address": "a", **versions()})]
    assert join(site, labels={"zone": "eu"})["address"] == "a"
    ((asked, authorization, body),) = site.asked
    assert (asked, authorization) == ("POST /api/v1/cluster/join", "Bearer token")
    assert body == {"group": "gpu", "slots": 2, "labels": {"zone": "eu"}, "create": False, "versions": own_versions().model_dump()}


@pytest.mark.parametrize(
    ("status", "told", "kind", "said"),
    [
        (401, {"message": "this token (box) has expired"}, NotAllowed, "does not accept this token (this token (box) has expired): give a join token"),
        (403, {"message": "Forbidden: this is a view token: it"}, NotAllowed, "this is a view token: it"),
        (404, {"message": "Not Found: worker group 'x' is not declared"}, NotFound, "worker group 'x' is not declared"),
        (409, {"message": "Illegal state: this machine cannot join"}, Conflict, "this machine cannot join"),
        (422, {"message": "Illegal argument: `slots` is"}, Refused, "`slots` is"),
        (503, {"message": "Unavailable: the executor is away"}, Unavailable, "cannot serve this now: the executor is away"),
        (500, {"message": "Internal server error: x"}, Unavailable, "cannot serve this now"),
        (404, "<html>no such page</html>", ServerUnreachable, "answers 404, not as an orchestrator server"),
        (200, "<html>welcome</html>", ServerUnreachable, "no server answers at"),
    ],
)
def test_every_refusal_is_a_definite_no_or_a_later(site: Site, status: int, told: Any, kind: type[OrchestratorError], said: str) -> None:
    site.answers = [(status, told)]
    with pytest.raises(kind) as refused:
        join(site)
    assert said in str(refused.value)
    assert type(refused.value) is kind


@pytest.mark.parametrize("other", [{"server_version": "99.0.0"}, {"ray_version": "1.0.0"}, {"python_version": "3.0.0"}])
def test_a_server_that_lets_in_what_does_not_fit_is_left_alone(site: Site, other: Mapping[str, str]) -> None:
    site.answers = [(200, {"address": "a", **versions(**other)})]
    with pytest.raises(Conflict, match="this machine cannot join: "):
        join(site)


def test_a_machine_waits_for_a_server_as_long_as_it_was_told_to_and_takes_a_no_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.runtime.joining.AGAIN_AFTER", 0.01)
    said: list[str] = []
    away = (503, {"message": "Unavailable: the executor is away"})
    site.answers = [away, away, (404, "not yet"), (403, {"message": "Forbidden: no"})]
    with pytest.raises(NotAllowed):
        Joined(JoinClient(site.url, None), Joining("gpu", wait=timedelta(minutes=1)), said.append).run()
    assert len(site.asked) == 4
    site.answers = [away]
    with pytest.raises(Unavailable):
        Joined(JoinClient(site.url, None), Joining("gpu"), said.append).run()
    assert len(site.asked) == 5


def test_an_address_is_completed_or_refused() -> None:
    assert JoinClient("head:8080/", None).url == "http://head:8080"
    for wrong in ("", "ftp://head", "http://", "://"):
        with pytest.raises(BadSettings):
            JoinClient(wrong, None)


@pytest.mark.parametrize("key", ["", "gpu", "Gpu-1_a", "7"])
def test_a_groups_key_is_taken(key: str) -> None:
    assert checked_group(key) == key


@pytest.mark.parametrize("key", ["-gpu", "_gpu", "g p u", "gpu/1", "gpü", "gpu\n"])
def test_what_is_no_groups_key_is_refused(key: str) -> None:
    with pytest.raises(BadSettings, match="is not a worker group's key"):
        checked_group(key)


def test_labels_are_what_ray_takes_and_not_ours() -> None:
    assert checked_labels(["zone=eu", "rack=r-4.b_1", "acme.org/kind=big", "empty="]) == {"zone": "eu", "rack": "r-4.b_1", "acme.org/kind": "big", "empty": ""}
    for wrong in (
        "zone",
        "=eu",
        "a=b c",
        "a=,b",
        "a=b=c",
        "-a=b",
        "a=b-",
        "a" * 64 + "=b",
        "a=" + "b" * 64,
        "worker-group=x",
        "orchestrator-x=y",
        "ray.io/x=y",
    ):
        with pytest.raises(BadSettings, match="--label"):
            checked_labels([wrong])
