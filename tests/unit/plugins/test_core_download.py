"""Downloads, from a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Task, TaskFailed
from orchestrator.sdk.fakes import FakeContext

BIG = b"0123456789" * 300_000
NAMES = {
    "/plain": 'attachment; filename="file.jpg"',
    "/folder": 'attachment; filename="/secure-path/file.jpg"',
    "/utf": "attachment; filename*=UTF-8''%C3%A9.csv",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        code = int(self.path[1:]) if self.path[1:].isdigit() else 200
        body = b"" if code == 204 else b'{"told": 1}' if code >= 400 else BIG if self.path == "/big.bin" else b"a,b\n"
        self.send_response(code)
        self.send_header("Content-Length", str(len(body) + (5 if self.path == "/cut" else 0)))
        if self.path in NAMES:
            self.send_header("Content-Disposition", NAMES[self.path])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()


@pytest.fixture
def ctx(tmp_path: Path, server: str) -> FakeContext:
    return FakeContext(tmp_path, {"server": server})


def download(ctx: FakeContext, path: str, **properties: Any) -> Any:
    name = "core.http.Download"
    task: Task = registry.load("task", name).model_validate({"id": "t", "type": name, "uri": "{{ server }}" + path, **properties})
    return task.run(ctx)


def test_a_large_file_is_downloaded_whole(ctx: FakeContext) -> None:
    made = download(ctx, "/big.bin")
    with ctx.files.open(made["uri"]) as file:
        assert file.read() == BIG
    assert (made["code"], made["length"], made["headers"]["content-length"]) == (200, len(BIG), [str(len(BIG))])
    assert made["uri"].endswith("/big.bin")
    assert not any(ctx.working_dir().iterdir())


@pytest.mark.parametrize(
    ("path", "name"), [("/plain", "/file.jpg"), ("/folder", "/file.jpg"), ("/utf", "/é.csv"), ("/x/data%20a.csv?q=1", "/data a.csv"), ("/", "/download")]
)
def test_a_file_has_the_name_that_the_server_gives_and_no_folder(ctx: FakeContext, path: str, name: str) -> None:
    uri = download(ctx, path)["uri"]
    assert uri.endswith(name)
    assert "secure-path" not in uri


def test_an_empty_answer_fails_unless_it_is_allowed(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="No response from server"):
        download(ctx, "/204")
    made = download(ctx, "/204", failOnEmptyResponse=False)
    assert (made["length"], ctx.files.text(made["uri"])) == (0, "")


def test_a_refusal_fails_with_the_servers_words_unless_it_is_allowed(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"'500' \(Internal Server Error\).*\n.*told"):
        download(ctx, "/500")
    assert download(ctx, "/417", allowFailed=True)["code"] == 417


def test_a_download_that_breaks_off_keeps_nothing(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"download of '.*/cut' failed"):
        download(ctx, "/cut")
    assert not any(ctx.working_dir().iterdir())
