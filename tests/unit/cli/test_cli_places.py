"""Where work goes, asked before anything runs: `plan`, and what `flow validate` says of worker groups and of Kestra."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_fake_server import FakeServer
from cli_words import FLOW, Command

PLACED = FLOW + "    workerGroup: {key: '{{ inputs.pool }}', fallback: FAIL}\n" + "inputs: [{id: pool, type: STRING}]\n"


@pytest.fixture
def placed(tmp_path: Path) -> Path:
    file = tmp_path / "placed.yaml"
    file.write_text(PLACED)
    return file


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server is named by the environment of whoever runs the tests."""
    for name in ("ORCHESTRATOR_SERVER", "ORCHESTRATOR_PORT"):
        monkeypatch.delenv(name, raising=False)


def _plan(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"namespace": "company.team", "id": "hello", "live": True, "tasks": list(tasks), **more}


def _task(outlook: str, **more: Any) -> dict[str, Any]:
    step = {"place": "worker group 'gpu'", "workerGroup": "gpu", "groups": [{"key": "gpu", "workers": 1, "slots": 8, "free": 3}]}
    return {"id": "t", "type": "x.Log", "level": "flow", "steps": [step], "fallback": "WAIT", "outlook": outlook, "because": "of it", **more}


# plan


def test_a_plan_by_the_flow_alone_tells_group_level_and_fallback(no_server: None, orchestrator: Command, placed: Path) -> None:
    said = orchestrator("plan", placed, "--offline", "-i", "pool=gpu")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "company.team.hello",
        "  hello  Log",
        "      → worker group 'gpu' · the task says so",
        "        fallback FAIL",
        "by the flow alone: no server was asked",
    ]


def test_a_plan_shows_what_only_a_run_knows(no_server: None, orchestrator: Command, placed: Path) -> None:
    assert "known only when it runs: {{ inputs.pool }}" in orchestrator("plan", placed, "--offline").out


def test_a_plan_is_given_as_json(no_server: None, orchestrator: Command, placed: Path) -> None:
    said = orchestrator("plan", placed, "--offline", "--json", "-i", "pool=gpu")
    told = json.loads(said.out)
    assert (told["id"], told["live"], told["tasks"][0]["level"], told["tasks"][0]["steps"][0]["workerGroup"]) == ("hello", False, "task", "gpu")


def test_a_plan_of_a_wrong_flow_exits_with_2_and_says_what_validate_says(no_server: None, orchestrator: Command, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(FLOW.replace("message:", "mesage:"))
    said = orchestrator("plan", file, "--offline")
    assert said.code == 2
    assert said.err.strip() == orchestrator("flow", "validate", file).out.strip()


def test_a_plan_with_a_wrong_input_exits_with_2(no_server: None, orchestrator: Command, placed: Path) -> None:
    placed.write_text(PLACED.replace("type: STRING", "type: INT"))
    said = orchestrator("plan", placed, "--offline", "-i", "pool=many")
    assert said.code == 2
    assert said.err.startswith("error[input-invalid]: pool: ")
    assert orchestrator("plan", placed, "--offline", "-i", "pool").code == 2


def test_a_plan_warns_of_what_the_flow_says_without_effect(no_server: None, orchestrator: Command, tmp_path: Path) -> None:
    file = tmp_path / "warned.yaml"
    file.write_text(FLOW + "triggers: [{id: s, type: io.kestra.plugin.core.trigger.Schedule, cron: '* * * * *', workerGroup: {key: gpu}}]\n")
    said = orchestrator("plan", file, "--offline")
    assert said.code == 0
    assert "warning[no-effect]" in said.err
    assert f"--> {file}:7:" in said.err


@pytest.mark.parametrize(
    ("outlook", "word", "code"),
    [("now", "● would go now", 0), ("waits", "◌ would wait", 0), ("open", "? open", 0), ("fails", "✗ would fail", 1), ("cancelled", "✗ would be cancelled", 1)],
)
def test_a_server_says_what_would_become_of_each_task(server: FakeServer, orchestrator: Command, placed: Path, outlook: str, word: str, code: int) -> None:
    server.plan = _plan(_task(outlook))
    said = orchestrator("plan", placed, "-i", "pool=gpu", "-l", "team=red")
    assert said.code == code
    assert f"{word}: of it" in said.out
    assert json.loads(server.sent[0]) == {"source": PLACED, "inputs": {"pool": "gpu"}, "labels": {"team": "red"}}


def test_a_disabled_task_that_would_fail_fails_no_plan(server: FakeServer, orchestrator: Command, placed: Path) -> None:
    server.plan = _plan(_task("fails", disabled=True), _task("now"))
    said = orchestrator("plan", placed)
    assert said.code == 0
    assert said.out.splitlines()[-1] == "1 would go now"


def test_a_flow_that_the_server_refuses_to_plan_exits_with_2(server: FakeServer, orchestrator: Command, placed: Path) -> None:
    problem = {"code": "unknown-worker-group", "message": "No worker group 'gqu' is declared", "line": 7, "column": 5, "help": "did you mean `gpu`?"}
    server.refusal = (422, {"message": "Invalid entity: x", "diagnostics": [problem]})
    said = orchestrator("plan", placed)
    assert said.code == 2
    assert f"error[unknown-worker-group]: No worker group 'gqu' is declared\n  --> {placed}:7:5" in said.err


def test_a_server_that_is_named_and_does_not_answer_exits_with_3(no_server: None, orchestrator: Command, placed: Path) -> None:
    said = orchestrator("plan", placed, "--server", "http://127.0.0.1:1")
    assert (said.code, "no server answers" in said.err) == (3, True)


# validate


def test_validate_refuses_for_kestra_what_only_we_know(orchestrator: Command, tmp_path: Path) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(FLOW + "    queueTimeout: PT1M\nplacement: [{workerGroup: gpu}]\n")
    assert orchestrator("flow", "validate", file).code == 0
    said = orchestrator("flow", "validate", "--kestra", file)
    assert said.code == 2
    assert "error[not-kestra]: Kestra knows no `queueTimeout`\n" in said.out
    assert "^^^^^^^^^ help: write `workerGroup: {key: gpu}` and choose its `fallback`" in said.out


def test_validate_says_nothing_of_groups_it_does_not_know(no_server: None, orchestrator: Command, placed: Path) -> None:
    placed.write_text(FLOW + "    workerGroup: {key: anything}\n")
    assert orchestrator("flow", "validate", placed).out == f"{placed}: ok\n"


def test_validate_asks_the_server_that_is_named_and_shows_its_places_in_the_file(server: FakeServer, orchestrator: Command, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    first = "# the first\n---\n" + FLOW + "    queueTimeout: PT1M\n"
    file.write_text(first + "---\n" + FLOW)
    problem = {"code": "unknown-worker-group", "message": "No worker group", "line": 2, "column": 1}
    server.violations = [{"index": 0, "diagnostics": []}, {"index": 1, "constraints": "x", "diagnostics": [problem]}]
    said = orchestrator("flow", "validate", file, "--server", server.url)
    assert said.code == 2
    assert f"--> {file}:{first.count(chr(10)) + 3}:1\n" in said.out
    assert server.sent == [file.read_bytes()]
    both = orchestrator("flow", "validate", file, "--server", server.url, "--kestra")
    assert f"error[not-kestra]: Kestra knows no `queueTimeout`\n  --> {file}:9:5" in both.out


def test_validate_of_good_flows_on_a_server_exits_with_0(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.violations = [{"index": 0, "diagnostics": []}]
    assert orchestrator("flow", "validate", flow_file, "--server", server.url).out == f"{flow_file}: ok\n"
    assert orchestrator("flow", "validate", flow_file).code == 0
    assert len(server.sent) == 1


@pytest.mark.parametrize("code", ["unknown-worker-group", "no-such-group", "group-not-allowed", "script-tasks-only", "no-effect", "not-kestra"])
def test_every_code_of_places_is_explained(orchestrator: Command, code: str) -> None:
    assert orchestrator("explain", code).code == 0
