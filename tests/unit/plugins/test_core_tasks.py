"""The core family's tasks, run without a server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Level, Task, TaskFailed
from orchestrator.sdk.fakes import FakeContext


def build(name: str, **properties: Any) -> Task:
    made: Task = registry.load("task", name).model_validate({"id": "t", "type": name, **properties})
    return made


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, {"name": "Ada", "n": 3, "yes": True, "no": "false", "map": {"a": 1, "b": "two"}})


@pytest.mark.parametrize("kind", ["task", "trigger", "task_runner"])
def test_every_registered_type_can_be_loaded(kind: str) -> None:
    for name in registry.types(kind):
        assert registry.load(kind, name).__doc__


def test_a_log_task_writes_each_message_at_its_level(ctx: FakeContext) -> None:
    assert build("core.log.Log", message=["Hello {{ name }}", 42, True], level="WARN").run(ctx) == {}
    assert ctx.logger.lines == [(Level.WARN, "Hello Ada"), (Level.WARN, "42"), (Level.WARN, "true")]


def test_a_log_task_takes_a_template_as_level(ctx: FakeContext) -> None:
    ctx.variables["level"] = "ERROR"
    build("core.log.Log", message="x", level="{{ level }}").run(ctx)
    assert ctx.logger.lines == [(Level.ERROR, "x")]


def test_return_gives_text_and_tells_its_length(ctx: FakeContext) -> None:
    assert build("core.debug.Return", format="{{ name }} {{ n }}").run(ctx) == {"value": "Ada 3"}
    assert ctx.metrics[0] == ("counter", "length", 5, {"format": "{{ name }} {{ n }}"})
    assert ctx.metrics[1][:2] == ("timer", "duration")


def test_return_without_a_format_gives_null(ctx: FakeContext) -> None:
    assert build("core.debug.Return").run(ctx) == {"value": None}


def test_echo_logs_at_info(ctx: FakeContext) -> None:
    build("core.debug.Echo", format="{{ name }}").run(ctx)
    assert ctx.logger.lines == [(Level.INFO, "Ada")]


def test_output_values_render_through_structures(ctx: FakeContext) -> None:
    task = build("core.output.OutputValues", values={"a": "{{ name }}", "deep": {"list": ["{{ n }}", 2]}})
    assert task.run(ctx) == {"values": {"a": "Ada", "deep": {"list": ["3", 2]}}}


def test_output_values_take_a_template_of_a_whole_map(ctx: FakeContext) -> None:
    assert build("core.output.OutputValues", values="{{ map }}").run(ctx) == {"values": {"a": 1, "b": "two"}}


@pytest.mark.parametrize(
    "labels",
    [{"{{ name }}": "{{ n }}", "flag": True}, [{"key": "Ada", "value": "3"}, {"key": "flag", "value": "{{ yes }}"}], '{"Ada": 3, "flag": {{ yes }}}'],
)
def test_labels_become_text_from_every_written_form(ctx: FakeContext, labels: Any) -> None:
    build("core.execution.Labels", labels=labels).run(ctx)
    assert ctx.labels == {"Ada": "3", "flag": "true"}


def test_system_labels_are_refused(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"offending label: system\.x=1"):
        build("core.execution.Labels", labels={"system.x": 1}).run(ctx)


@pytest.mark.parametrize("condition", [None, True, "{{ yes }}", "1"])
def test_fail_fails_when_its_condition_holds(ctx: FakeContext, condition: Any) -> None:
    with pytest.raises(TaskFailed, match="Task failure"):
        build("core.execution.Fail", condition=condition).run(ctx)


@pytest.mark.parametrize("condition", [False, "{{ no }}", "0"])
def test_fail_passes_when_its_condition_does_not_hold(ctx: FakeContext, condition: Any) -> None:
    assert build("core.execution.Fail", condition=condition, errorMessage="never").run(ctx) == {}


def test_sleep_ends_at_once_when_stopped(ctx: FakeContext) -> None:
    thread = threading.Thread(target=build("core.flow.Sleep", duration="PT1H").run, args=(ctx,))
    thread.start()
    ctx.stop()
    thread.join(5)
    assert not thread.is_alive()


class _Echo(BaseHTTPRequestHandler):
    release = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/hang":
            self.release.wait(10)
        body = b'{"got": "it"}' if self.path != "/missing" else b"nothing here"
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"{self.headers['Content-Type']} {self.headers.get('x-test')} ".encode() + sent
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    _Echo.release.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    _Echo.release.set()
    httpd.shutdown()
    httpd.server_close()


def test_a_request_gives_code_headers_and_body(ctx: FakeContext, server: str) -> None:
    outputs = build("core.http.Request", uri=server + "/x").run(ctx)
    assert (outputs["code"], outputs["body"], outputs["uri"]) == (200, '{"got": "it"}', server + "/x")
    assert outputs["headers"]["content-length"] == ["13"]


def test_a_head_request_has_no_body(ctx: FakeContext, server: str) -> None:
    outputs = build("core.http.Request", uri=server, method="HEAD").run(ctx)
    assert outputs["body"] is None
    assert outputs["headers"]["content-length"] == ["13"]


def test_a_request_that_is_refused_fails_with_code_and_body(ctx: FakeContext, server: str) -> None:
    with pytest.raises(TaskFailed, match="response code '404' and body:\nnothing here"):
        build("core.http.Request", uri=server + "/missing").run(ctx)


def test_a_refusal_may_be_allowed(ctx: FakeContext, server: str) -> None:
    assert build("core.http.Request", uri=server + "/missing", allowFailed=True).run(ctx)["code"] == 404


def test_a_structure_is_sent_as_json(ctx: FakeContext, server: str) -> None:
    task = build("core.http.Request", uri=server, method="POST", body={"who": "{{ name }}"}, headers={"x-test": "{{ n }}"})
    assert task.run(ctx)["body"] == 'application/json 3 {"who":"Ada"}'


def test_a_form_is_sent_encoded(ctx: FakeContext, server: str) -> None:
    kind = "application/x-www-form-urlencoded"
    task = build("core.http.Request", uri=server, method="POST", contentType=kind, formData={"a b": "{{ name }}"})
    assert task.run(ctx)["body"] == f"{kind} None a+b=Ada"


def test_a_multipart_form_sends_stored_files(ctx: FakeContext, server: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("stored text")
    form = {"plain": "1", "file": ctx.files.put(tmp_path / "f", "given.txt"), "named": {"content": "inline", "name": "other.txt"}}
    body = build("core.http.Request", uri=server, method="POST", contentType="multipart/form-data", formData=form).run(ctx)["body"]
    assert 'filename="given.txt"' in body
    assert "stored text" in body
    assert 'filename="other.txt"' in body
    assert "inline" in body


def test_a_request_ends_when_stopped(ctx: FakeContext, server: str) -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            build("core.http.Request", uri=server + "/hang").run(ctx)
        except TaskFailed as err:
            errors.append(err)

    thread = threading.Thread(target=work)
    thread.start()
    ctx.stop()
    thread.join(5)
    assert [str(e) for e in errors] == ["stopped while waiting for the server's answer"]


def test_a_request_to_nowhere_says_so(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"request to 'http://127\.0\.0\.1:9/' failed"):
        build("core.http.Request", uri="http://127.0.0.1:9/").run(ctx)
