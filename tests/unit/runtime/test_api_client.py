"""The way to the API: requests, files as streams, and a server that goes away for a while."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from orchestrator.errors import BadSettings, Conflict, NotAllowed, NotFound, Refused, Unavailable
from orchestrator.model.dispatch import Dispatch
from orchestrator.runtime.api_client import ApiClient
from orchestrator.runtime.services import HttpServices
from orchestrator.sdk import Level

BIG = bytes(range(256)) * 8192  # 2 MiB


class Api:
    """What a server answered and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, list[str]], str | None, bytes]] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.breaking = 0  # requests whose connection is broken off
        self.connections = 0
        self.stops_after: int | None = None  # bytes of an answer that come at all
        self.stopped = threading.Event()  # it has sent those
        self.hangs = False  # it then keeps the connection, and else closes it
        self.go = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def setup(self) -> None:
        super().setup()
        self.api.connections += 1

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _any(self) -> None:
        body = self._body()
        if self.api.breaking:
            self.api.breaking -= 1
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        parts = urlsplit(self.path)
        self.api.asked.append((self.command, parts.path, parse_qs(parts.query), self.headers.get("Authorization"), body))
        status, answer = self.api.answers.get(parts.path.removeprefix("/api/v1/internal/runs/e1"), (404, b'{"message": "nothing here"}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer[: self.api.stops_after])
        if self.api.stops_after is not None:
            self.wfile.flush()
            self.api.stopped.set()
            self.close_connection = True
            if self.api.hangs:
                self.api.go.wait(20)

    do_GET = do_PUT = do_POST = do_DELETE = _any

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": found}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    yield found
    found.go.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def services(api: Api) -> HttpServices:
    dispatch = Dispatch(
        task_run_id="r1", execution_id="e1", namespace="acme", flow_id="f", flow_revision=1, task_id="work", lease=1, generation=0, spec={}, api_token="tok"
    )
    return HttpServices(ApiClient(api.url, away=2.0), dispatch)  # type: ignore[attr-defined]


def answer(api: Api, path: str, value: Any, status: int = 200) -> None:
    api.answers[path] = (status, value if isinstance(value, bytes) else json.dumps(value).encode())


def test_every_question_goes_to_its_path_with_the_token(api: Api, services: HttpServices) -> None:
    answer(api, "/outputs/a%20b", {"x": 1})
    answer(api, "/open", {"values": ["one"]})
    answer(api, "/seal", {"sealed": {"type": "t"}})
    answer(api, "/secret", {"value": "s"})
    answer(api, "/error-logs", [{"message": "m"}])
    assert services.outputs("a b") == {"x": 1}
    assert services.open_sealed([{"value": "c"}]) == ["one"]
    assert services.seal("text") == {"type": "t"}
    assert services.secret("acme", "K") == "s"
    assert services.error_logs() == [{"message": "m"}]
    assert {token for _, _, _, token, _ in api.asked} == {"Bearer tok"}
    assert api.asked[3][2] == {"key": ["K"], "namespace": ["acme"]}
    assert json.loads(api.asked[1][4]) == {"sealed": [{"value": "c"}]}
    assert api.connections == 1


def test_keys_are_got_put_deleted_and_listed(api: Api, services: HttpServices) -> None:
    answer(api, "/kv/acme.team/k", {"value": [1], "deleted": True})
    answer(api, "/kv/acme.team", ["k"])
    assert services.keys.get("acme.team", "k") == [1]
    assert services.keys.delete("acme.team", "k")
    assert services.keys.names("acme.team") == ["k"]
    answer(api, "/kv/acme.team/k", b"", 204)
    services.keys.put("acme.team", "k", "v", timedelta(minutes=1))
    assert json.loads(api.asked[-1][4]) == {"value": "v", "ttl": 60.0}


@pytest.mark.parametrize("kind", ["path", "stream"])
def test_a_file_is_sent_whole(api: Api, services: HttpServices, tmp_path: Path, kind: str) -> None:
    answer(api, "/files", {"uri": "kestra:///x"})
    (tmp_path / "big").write_bytes(BIG)
    assert services.files.put(tmp_path / "big" if kind == "path" else io.BytesIO(BIG), "name.bin") == "kestra:///x"
    method, _, query, _, body = api.asked[0]
    assert (method, query, body == BIG) == ("PUT", {"name": ["name.bin"], "task": ["work"], "taskRun": ["r1"]}, True)


def test_files_are_fetched_opened_and_measured(api: Api, services: HttpServices, tmp_path: Path) -> None:
    answer(api, "/files", BIG)
    answer(api, "/files/size", {"size": 5})
    services.files.fetch("kestra:///u", tmp_path / "deep" / "file")
    assert (tmp_path / "deep" / "file").read_bytes() == BIG
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    with services.files.open("kestra:///u") as file:
        assert file.read(3) == BIG[:3]
    assert services.files.size("kestra:///u") == 5


def test_namespace_files_are_listed_and_read_also_by_their_uri(api: Api, services: HttpServices, tmp_path: Path) -> None:
    answer(api, "/namespace-files/acme.team", ["/a.txt"])
    answer(api, "/namespace-files/acme.team/content", b"text")
    assert services.files.namespace_files("acme.team") == ["/a.txt"]
    services.files.fetch_namespace_file("acme.team", "/a.txt", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "text"
    with services.files.open("kestra:///acme/team/_files/dir/a.txt") as file:
        assert file.read() == b"text"
    assert services.files.size("kestra:///acme/team/_files/dir/a.txt") == 4
    assert api.asked[-1][2] == {"path": ["/dir/a.txt"]}


@pytest.mark.parametrize(("status", "error"), [(401, NotAllowed), (403, NotAllowed), (404, NotFound), (409, Conflict), (422, Refused)])
def test_a_refusal_is_raised_with_the_servers_words(api: Api, services: HttpServices, status: int, error: type[Exception]) -> None:
    answer(api, "/outputs/t", {"message": "because"}, status)
    with pytest.raises(error, match="because"):
        services.outputs("t")


def test_an_installation_without_a_key_says_so(api: Api, services: HttpServices) -> None:
    answer(api, "/seal", {"message": "no key", "code": "bad-settings"}, 422)
    with pytest.raises(BadSettings, match="no key"):
        services.seal("x")


def test_a_server_that_breaks_off_is_asked_again(api: Api, services: HttpServices, tmp_path: Path) -> None:
    answer(api, "/outputs/t", {"x": 1})
    answer(api, "/files", {"uri": "u"})
    services.outputs("t")
    api.breaking = 2
    assert services.outputs("t") == {"x": 1}
    api.breaking = 2
    assert services.files.put(io.BytesIO(BIG), "n") == "u"
    assert api.asked[-1][4] == BIG


def test_a_file_that_breaks_off_in_the_middle_is_never_taken_for_whole(api: Api, services: HttpServices, tmp_path: Path) -> None:
    answer(api, "/files", BIG)
    api.stops_after = 1000
    with pytest.raises(Unavailable, match="broke off"):
        services.files.fetch("kestra:///u", tmp_path / "file")
    assert list(tmp_path.iterdir()) == []
    with services.files.open("kestra:///u") as file:
        assert file.read(len(BIG)) == BIG[:1000]
        with pytest.raises(HTTPException):
            file.read(len(BIG))


def interrupted(api: Api, services: HttpServices, act: Callable[[], object]) -> float:
    """Interrupt what hangs; the seconds until it has ended."""
    api.stops_after, api.hangs = api.stops_after or 0, True
    ended: list[BaseException | None] = []

    def attempt() -> None:
        try:
            act()
        except Unavailable as err:
            ended.append(err)

    thread = threading.Thread(target=attempt)
    thread.start()
    assert api.stopped.wait(20)
    began = time.monotonic()
    services.interrupt()
    thread.join(20)
    assert "stopped" in str(ended[0])
    return time.monotonic() - began


def test_a_question_without_an_answer_can_be_interrupted(api: Api, services: HttpServices) -> None:
    answer(api, "/outputs/t", {"x": 1})
    assert interrupted(api, services, lambda: services.outputs("t")) < 0.5
    with pytest.raises(Unavailable, match="stopped"):
        services.outputs("t")


def test_a_download_can_be_interrupted_and_leaves_no_half_file(api: Api, services: HttpServices, tmp_path: Path) -> None:
    answer(api, "/files", BIG)
    api.stops_after = 1000
    assert interrupted(api, services, lambda: services.files.fetch("kestra:///u", tmp_path / "file")) < 0.5
    assert list(tmp_path.iterdir()) == []


def test_waiting_for_a_server_that_is_away_can_be_interrupted(api: Api, services: HttpServices) -> None:
    api.breaking = 1000
    api.stopped.set()  # it never even comes so far
    assert interrupted(api, services, lambda: services.outputs("t")) < 0.5


def test_a_server_that_is_overloaded_is_asked_again(api: Api, services: HttpServices) -> None:
    answer(api, "/outputs/t", {"message": "starting"}, 503)
    timer = threading.Timer(0.3, answer, (api, "/outputs/t", {"x": 1}))
    timer.start()
    assert services.outputs("t") == {"x": 1}


def test_a_server_that_stays_away_is_given_up(services: HttpServices) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = ApiClient(f"http://127.0.0.1:{closed.getsockname()[1]}", away=0.2)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        client.ask("GET", "/x", "tok")
    assert time.monotonic() - began < 5


def test_a_key_may_be_kept_with_a_description_and_only_once(api: Api, services: HttpServices) -> None:
    answer(api, "/kv/acme/k", b"", 204)
    services.keys.put("acme", "k", 1, description="d", overwrite=False)
    assert json.loads(api.asked[-1][4]) == {"value": 1, "ttl": None, "description": "d", "overwrite": False}
    answer(api, "/kv/acme/k", {"message": "expired"}, 410)
    with pytest.raises(NotFound, match="expired"):
        services.keys.get("acme", "k")


def test_files_are_deleted_and_purged(api: Api, services: HttpServices) -> None:
    answer(api, "/files", {"deleted": True})
    answer(api, "/files/purge", {"uris": ["u"]})
    assert services.files.delete("kestra:///u")
    assert services.files.purge() == ["u"]
    assert [(method, query) for method, _, query, _, _ in api.asked] == [("DELETE", {"uri": ["kestra:///u"]}), ("POST", {})]


def test_namespace_files_are_written_and_deleted(api: Api, services: HttpServices, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(BIG)
    answer(api, "/namespace-files/acme/content", b"", 204)
    services.files.put_namespace_file("acme", "/a", tmp_path / "big")
    assert (api.asked[-1][0], api.asked[-1][2], api.asked[-1][4] == BIG) == ("PUT", {"path": ["/a"]}, True)
    answer(api, "/namespace-files/acme/content", {"deleted": False})
    assert not services.files.delete_namespace_file("acme", "/a")


def test_logs_come_line_by_line_and_executions_are_counted(api: Api, services: HttpServices) -> None:
    answer(api, "/logs", b'{"message": "a"}\n{"message": "b"}\n')
    answer(api, "/count", {"count": 3})
    assert [line["message"] for line in services.records.logs("e2", min_level=Level.INFO, task_ids=("t", "u"))] == ["a", "b"]
    assert services.records.count("acme", "f", states=("SUCCESS", "FAILED"), start="2020-01-01T00:00:00Z") == 3
    assert [query for _, _, query, _, _ in api.asked] == [
        {"execution": ["e2"], "minLevel": ["INFO"], "task": ["t", "u"]},
        {"namespace": ["acme"], "flowId": ["f"], "startDate": ["2020-01-01T00:00:00Z"], "state": ["SUCCESS", "FAILED"]},
    ]
