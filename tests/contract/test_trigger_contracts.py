"""The triggers here keep what every trigger promises."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import ExpressionFailed, PollingTrigger, RealtimeTrigger, TaskFailed
from orchestrator.sdk.fakes import FakeContext
from orchestrator.sdk.trigger_testing import ListeningContract, LookingContract
from tests.unit.runtime.trigger_house import installed


class Web:
    """A server whose one page is empty yet, or is not, or is never sent."""

    def __init__(self) -> None:
        self.text, self.hangs, self.go_on = b"", False, threading.Event()
        self.asked: list[tuple[str, Mapping[str, str], bytes]] = []
        web = self

        class Page(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                web.asked.append((self.command, dict(self.headers), self.rfile.read(int(self.headers.get("Content-Length") or 0))))
                if web.hangs:
                    web.go_on.wait(20)
                self.send_response(200)
                self.send_header("X-Odd", "a")
                self.end_headers()
                self.wfile.write(web.text)

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_port}/page"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.go_on.set()
    made.server.shutdown()
    made.server.server_close()


FILLED = "{{ response.body }}"  # the fake context's templates compare nothing


def _http(web: Web, **properties: Any) -> PollingTrigger:
    kind: type[PollingTrigger] = registry.load("trigger", "core.http.Trigger")
    return kind.model_validate({"id": "t", "type": "core.http.Trigger", "uri": web.url, "responseCondition": FILLED, **properties})


class TestHttpTrigger(LookingContract):
    @pytest.fixture
    def trigger(self, web: Web) -> PollingTrigger:
        self.web = web
        return _http(web)

    def bring(self) -> None:
        self.web.text = b'{"rows": 3}'

    def hang(self) -> bool:
        self.web.hangs = True
        return True

    def test_its_variables_are_those_that_a_request_outputs(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        self.bring()
        found = dict(trigger.evaluate(ctx) or {})
        assert (found["code"], found["body"], found["uri"], found["headers"]["x-odd"]) == (200, '{"rows": 3}', self.web.url, ["a"])

    def test_it_asks_as_it_is_told(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        _http(self.web, method="POST", headers={"X-Mine": "{{ who }}"}, body={"a": 1}).evaluate(ctx.with_variables({"who": "me"}))
        method, headers, body = self.web.asked[-1]
        assert (method, headers["X-Mine"], headers["Content-Type"], body) == ("POST", "me", "application/json", b'{"a":1}')

    @pytest.mark.parametrize(("condition", "found"), [("{{ response.statusCode }}", True), (FILLED, False), ("false", False)])
    def test_the_condition_decides_on_the_answer(self, trigger: PollingTrigger, ctx: FakeContext, condition: str, found: bool) -> None:
        assert (_http(self.web, responseCondition=condition).evaluate(ctx) is not None) is found

    def test_a_condition_that_cannot_be_evaluated_and_a_server_that_is_not_there_are_errors(self, trigger: PollingTrigger, ctx: FakeContext) -> None:
        with pytest.raises(ExpressionFailed):
            _http(self.web, responseCondition="{{ response.nope }}").evaluate(ctx)
        with pytest.raises(TaskFailed, match=r"request to 'http://127\.0\.0\.1:1/' failed"):
            _http(self.web, uri="http://127.0.0.1:1/").evaluate(ctx)


class TestLookout(LookingContract):
    """The test distribution's own."""

    @pytest.fixture
    def trigger(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PollingTrigger]:
        self.folder = tmp_path
        with installed(monkeypatch):
            yield registry.load("trigger", "test.Lookout").model_validate({"id": "t", "type": "test.Lookout", "folder": str(tmp_path)})

    def bring(self) -> None:
        (self.folder / "found").write_text("news")

    def hang(self) -> bool:
        (self.folder / "hang").touch()
        return True


class TestListener(ListeningContract):
    @pytest.fixture
    def trigger(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealtimeTrigger]:
        self.folder = tmp_path
        with installed(monkeypatch):
            yield registry.load("trigger", "test.Listener").model_validate({"id": "t", "type": "test.Listener", "folder": str(tmp_path)})

    def send(self, number: int) -> None:
        with (self.folder / "queue").open("a") as queue:
            queue.write(f"{number}\n")

    def number_of(self, variables: Mapping[str, Any]) -> int:
        return int(variables["line"])
