"""`orchestrator run` against a server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cli_fake_server import FakeServer, execution, log_line, task_run
from cli_words import FLOW, Command

HELLO = ("company.team", "hello")


def test_a_run_shows_its_states_logs_and_outputs_and_exits_with_0(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    said = orchestrator("run", flow_file)
    assert said.code == 0
    assert said.out.count("│ Hello world") == 2
    assert "outputs:\n  answer: 42" in said.out
    assert "✓ SUCCESS" in said.err
    assert server.flows[HELLO] == FLOW


def test_a_flow_that_is_known_is_updated_by_one_request(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.flows[HELLO] = "older"
    assert orchestrator("run", flow_file).code == 0
    assert [asked for asked in server.asked if "/flows" in asked] == ["PUT /api/v1/flows/company.team/hello"]
    assert server.flows[HELLO] == FLOW


def test_a_known_flow_in_an_unusual_layout_is_updated_too(server: FakeServer, orchestrator: Command, tmp_path: Path) -> None:
    server.flows[HELLO] = "older"
    file = tmp_path / "flow.yaml"
    file.write_text('{"id": "hello", "namespace": "company.team", "tasks": []}')
    assert orchestrator("run", file).code == 0
    assert server.flows[HELLO].startswith('{"id"')


@pytest.mark.parametrize(("ending", "code"), [("SUCCESS", 0), ("WARNING", 0), ("FAILED", 1), ("KILLED", 1), ("CANCELLED", 1)])
def test_the_exit_code_is_how_the_run_ended(server: FakeServer, orchestrator: Command, flow_file: Path, ending: str, code: int) -> None:
    server.story = [execution(ending)]
    assert orchestrator("run", flow_file).code == code


def test_a_failed_run_names_the_task_and_why(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    parent, child = task_run("all", "FAILED"), task_run("load", "FAILED", parentTaskRunId="run-all", error="exit code 3", attempts=[{}, {}])
    server.story = [execution("FAILED", parent, child)]
    said = orchestrator("run", flow_file)
    assert "task load (attempt 2) failed: exit code 3" in said.err
    assert "task all failed" not in said.err


def test_json_gives_one_document_on_stdout(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    said = orchestrator("run", flow_file, "--json")
    assert json.loads(said.out)["outputs"] == {"answer": 42}
    assert "Hello world" in said.err


def test_inputs_files_and_labels_are_sent(server: FakeServer, orchestrator: Command, flow_file: Path, tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_bytes(b"a,b\x00\xff")
    orchestrator("run", flow_file, "-i", "day=2026-01-31", "-i", "note=a=b", "--input-file", f"data={data}", "--label", "team=x:y")
    query, body = server.started[0]
    assert query == {"labels": ["team:x:y"]}
    assert b'name="day"\r\n\r\n2026-01-31\r\n' in body
    assert b'name="note"\r\n\r\na=b\r\n' in body
    assert b'name="data"; filename="rows.csv"\r\nContent-Type: application/octet-stream\r\n\r\na,b\x00\xff\r\n' in body


def test_a_line_that_the_stream_did_not_bring_is_shown_once(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.late = [log_line("the last words")]
    said = orchestrator("run", flow_file)
    assert said.out.count("the last words") == 1
    assert said.out.count("Hello world") == 2


def test_a_stream_that_breaks_off_is_taken_up_again(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.breaks = 2
    said = orchestrator("run", flow_file)
    assert said.code == 0
    assert said.out.count("Hello world") == 2
    assert "trying again" in said.err


def test_detach_prints_the_id_and_follows_nothing(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    said = orchestrator("run", flow_file, "--detach")
    assert (said.code, said.out) == (0, "abc123\n")
    assert not any("follow" in asked for asked in server.asked)


def test_control_characters_in_a_log_line_do_not_reach_the_output(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.lines = [log_line("\x1b[2Jgone")]
    assert "\x1b" not in orchestrator("run", flow_file).out


def test_a_refused_flow_is_shown_with_its_line_and_a_caret(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    problem = {
        "code": "unknown-property",
        "message": "task `hello` has no property `mesage`",
        "line": 6,
        "column": 5,
        "length": 6,
        "help": "did you mean `message`?",
    }
    server.refusal = (422, {"message": "Invalid entity: ...", "code": "flow-invalid", "diagnostics": [problem]})
    said = orchestrator("run", flow_file)
    assert said.code == 2
    assert f"error[unknown-property]: task `hello` has no property `mesage`\n  --> {flow_file}:6:5\n 6 |     message: Hello world" in said.err
    assert "^^^^^^ help: did you mean `message`?" in said.err
    assert not server.started


def test_a_missing_input_names_it_and_the_remedy(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.start_refusal = (
        422,
        {"message": "Invalid entity: day: Invalid input for `day`, missing required input, but received `null`", "code": "input-invalid"},
    )
    said = orchestrator("run", flow_file)
    assert said.code == 2
    assert "Invalid input for `day`, missing required input" in said.err
    assert "-i KEY=VALUE" in said.err


@pytest.mark.parametrize("args", [["nofile.yaml"], ["FLOW", "-i", "novalue"], ["FLOW", "--input-file", "a=/no/such/file"], ["FLOW", "--nonsense"], []])
def test_a_wrong_question_exits_with_2_and_asks_the_server_nothing(server: FakeServer, orchestrator: Command, flow_file: Path, args: list[str]) -> None:
    said = orchestrator("run", *[str(flow_file) if arg == "FLOW" else arg for arg in args])
    assert said.code == 2
    assert said.err.strip()
    assert server.asked == []


def test_a_wrong_token_is_one_clear_message(server: FakeServer, orchestrator: Command, flow_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "right"
    said = orchestrator("run", flow_file, "--api-token", "wrong")
    assert said.code == 2
    assert "refuses the API token" in said.err
    assert "ORCHESTRATOR_API_TOKEN" in said.err
    monkeypatch.setenv("ORCHESTRATOR_API_TOKEN", "right")
    assert orchestrator("run", flow_file).code == 0


def test_a_server_that_is_named_and_not_there_exits_with_3(orchestrator: Command, flow_file: Path) -> None:
    said = orchestrator("run", flow_file, "--server", "http://127.0.0.1:9")
    assert said.code == 3
    assert "no server answers at http://127.0.0.1:9" in said.err
    assert "orchestrator server local" in said.err


def test_an_address_that_is_none_exits_with_2(orchestrator: Command, flow_file: Path) -> None:
    assert orchestrator("run", flow_file, "--server", "ftp://x").code == 2
    assert orchestrator("run", flow_file, "--server", "http://x:port").code == 2


def test_something_else_at_the_address_exits_with_3(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.refusal = (404, "this is a web shop")
    server.plain = True
    said = orchestrator("run", flow_file)
    assert said.code == 3
    assert "answers, but not as an orchestrator server" in said.err


def test_a_server_that_fails_exits_with_3(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.refusal = (500, {"message": "Internal server error: boom"})
    said = orchestrator("run", flow_file)
    assert said.code == 3
    assert "boom" in said.err


def signal_once_followed(server: FakeServer, number: signal.Signals) -> None:
    def send() -> None:
        assert server.following.wait(10)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_kills_the_run_and_its_end_is_seen(server: FakeServer, orchestrator: Command, flow_file: Path, number: signal.Signals) -> None:
    server.until_killed = True
    server.story = [execution("RUNNING", task_run("hello", "RUNNING")), execution("KILLED", task_run("hello", "KILLED"))]
    signal_once_followed(server, number)
    said = orchestrator("run", flow_file)
    assert said.code == 1
    assert server.asked.count("DELETE /api/v1/executions/abc123/kill") == 1
    assert "■ KILLED" in said.err


def test_a_kill_is_asked_for_until_it_is_heard(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.until_killed, server.kills_refused, server.story = True, 1, [execution("RUNNING"), execution("KILLED")]
    signal_once_followed(server, signal.SIGTERM)
    said = orchestrator("run", flow_file)
    assert said.code == 1
    assert "not heard yet" in said.err
    assert server.killed.is_set()


def test_a_detached_run_in_a_ray_job_is_followed_and_left_going_when_the_job_is_stopped(
    server: FakeServer, orchestrator: Command, flow_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.cli.client import Client
    from orchestrator.cli.http_session import HttpSession

    asked = []

    def opened(*_: object, in_job: bool, **__: object) -> HttpSession:
        asked.append(in_job)
        return HttpSession(Client(server.url))

    monkeypatch.delenv("ORCHESTRATOR_SERVER")
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    monkeypatch.setattr("orchestrator.cli.sessions.open_session", opened)
    server.until_killed = True
    signal_once_followed(server, signal.SIGTERM)
    said = orchestrator("run", flow_file, "--detach")
    assert said.code == 1
    assert asked == [True]
    assert not server.killed.is_set()


def test_without_any_server_one_is_started_and_said_so_at_once(
    server: FakeServer, orchestrator: Command, flow_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import types

    background = types.ModuleType("orchestrator.runtime.background")
    background.ensure_local_server = lambda say: say("Ray is up") or server.url  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "orchestrator.runtime.background", background)
    monkeypatch.delenv("ORCHESTRATOR_SERVER")
    monkeypatch.setattr("orchestrator.cli.sessions._answers", lambda url: False)
    monkeypatch.setattr("orchestrator.cli.problems.found_here", lambda source, file: ())
    said = orchestrator("run", flow_file)
    assert said.code == 0
    assert said.err.startswith("no server at http://127.0.0.1:8080: starting Ray and a server in ./.orchestrator")
    assert "Ray is up" in said.err


def test_the_command_line_loads_no_heavy_library(flow_file: Path, server: FakeServer) -> None:
    heavy = ["ray", "fastapi", "sqlalchemy", "boto3", "docker", "google", "jinja2", "yaml", "rich", "httpx", "orchestrator.settings", "orchestrator.lang"]
    code = f"""
import sys
from orchestrator.cli.main import main
sys.argv = ["orchestrator", "run", {str(flow_file)!r}]
try:
    main()
except SystemExit as left:
    assert left.code == 0, left.code
loaded = [name for name in {heavy!r} if name in sys.modules]
assert loaded == [], loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ, "ORCHESTRATOR_SERVER": server.url})
    assert done.returncode == 0, done.stderr
