"""The commands around a run: flows, executions, workers, and what needs no server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_fake_server import BEGIN, FakeServer, execution, log_line, task_run
from cli_words import FLOW, Command

# flows


def test_validate_tells_all_problems_of_all_files_without_a_server(orchestrator: Command, tmp_path: Path) -> None:
    good, bad = tmp_path / "a.yaml", tmp_path / "b.yaml"
    good.write_text(FLOW)
    bad.write_text(FLOW.replace("message:", "mesage:") + "    level: NOPE\n  - id: hello\n    type: no.such.Type\n")
    said = orchestrator("flow", "validate", tmp_path)
    assert said.code == 2
    assert f"{good}: ok" in said.out
    assert f"--> {bad}:6:5" in said.out
    assert said.out.count("error[") >= 3


def test_validate_gives_diagnostics_as_json(orchestrator: Command, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(FLOW.replace("message:", "mesage:"))
    said = orchestrator("flow", "validate", file, "--json")
    told = json.loads(said.out)[0]
    assert (said.code, told["valid"]) == (2, False)
    assert ("unknown-property", 6) in [(found["code"], found["line"]) for found in told["diagnostics"]]


def test_validate_of_good_files_exits_with_0(orchestrator: Command, flow_file: Path) -> None:
    assert orchestrator("flow", "validate", flow_file).code == 0


def test_create_saves_every_file_that_is_good(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    other = flow_file.with_name("other.yaml")
    other.write_text(FLOW.replace("id: hello\nnamespace", "id: other\nnamespace"))
    said = orchestrator("flow", "create", flow_file, other)
    assert said.code == 0
    assert said.out.splitlines() == ["company.team/hello revision 1", "company.team/other revision 1"]


def test_create_tells_what_the_server_warns_of(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.violations = [{"index": 0, "diagnostics": [{"code": "no-such-group", "message": "no worker group", "line": 3, "column": 1, "severity": "warning"}]}]
    said = orchestrator("flow", "create", flow_file)
    assert (said.code, said.out) == (0, "company.team/hello revision 1\n")
    assert said.err.startswith(f"warning[no-such-group]: no worker group\n  --> {flow_file}:3:1")


def test_create_of_a_refused_file_exits_with_2(server: FakeServer, orchestrator: Command, flow_file: Path) -> None:
    server.refusal = (422, {"message": "Invalid entity: x", "diagnostics": [{"code": "wrong-type", "message": "no", "line": 1, "column": 1}]})
    said = orchestrator("flow", "create", flow_file)
    assert said.code == 2
    assert "error[wrong-type]: no" in said.err


def test_flows_are_listed_as_a_table_and_as_json(server: FakeServer, orchestrator: Command) -> None:
    server.flows["company.team", "hello"] = FLOW
    assert orchestrator("flow", "ls").out.splitlines()[1].split() == ["company.team", "hello", "1"]
    assert json.loads(orchestrator("flow", "ls", "--json").out)[0]["id"] == "hello"


@pytest.mark.parametrize("name", ["company.team/hello", "company.team.hello"])
def test_a_flow_is_shown_as_it_was_written(server: FakeServer, orchestrator: Command, name: str) -> None:
    server.flows["company.team", "hello"] = FLOW
    assert orchestrator("flow", "show", name).out == FLOW


def test_a_flow_that_is_not_there_is_one_message(server: FakeServer, orchestrator: Command) -> None:
    said = orchestrator("flow", "show", "company.team/nothing")
    assert (said.code, said.err) == (2, "error[not-found]: no such flow\n")


def test_a_new_flow_is_valid_and_names_its_schema(orchestrator: Command, tmp_path: Path) -> None:
    file = tmp_path / "first.yaml"
    assert orchestrator("flow", "new", file).code == 0
    assert file.read_text().startswith("# yaml-language-server: $schema=http://")
    assert orchestrator("flow", "validate", file).code == 0
    assert orchestrator("flow", "new", file).code == 2


# executions


def test_any_unique_beginning_of_an_id_will_do(server: FakeServer, orchestrator: Command) -> None:
    server.executions = {name: execution("SUCCESS", identity=name) for name in ("abc123", "abd456")}
    assert json.loads(orchestrator("execution", "show", "abc", "--json").out)["id"] == "abc123"
    several = orchestrator("execution", "show", "ab")
    assert (several.code, "abc123, abd456" in several.err) == (2, True)
    none = orchestrator("execution", "show", "x")
    assert (none.code, "no execution's id begins with `x`" in none.err) == (2, True)


def test_executions_are_listed_with_shape_and_word(server: FakeServer, orchestrator: Command) -> None:
    server.executions = {"abc123": execution("SUCCESS")}
    said = orchestrator("execution", "ls", "--state", "success")
    assert said.out.splitlines()[1].split()[:4] == ["abc123", "✓", "SUCCESS", "company.team/hello"]
    assert json.loads(orchestrator("execution", "ls", "--json").out)[0]["id"] == "abc123"


def test_show_gives_the_tree_and_the_reason(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution(
        "FAILED",
        task_run("all", "FAILED"),
        task_run("one", "SUCCESS", parentTaskRunId="run-all", value="x"),
        task_run("two", "FAILED", parentTaskRunId="run-all", error="boom"),
    )
    out = orchestrator("execution", "show", "abc123").out
    assert "  ✗ FAILED    all  1.5s\n    ✓ SUCCESS   one [x]  1.5s\n    ✗ FAILED    two" in out
    assert "task two failed: boom" in out


def test_a_waiting_task_says_for_what(server: FakeServer, orchestrator: Command) -> None:
    waiting = task_run("train", "CREATED", placement={"group": "gpu"}, phases=[{"name": "queued", "at": BEGIN}])
    server.executions["abc123"] = execution("RUNNING", waiting)
    assert 'no free worker in group "gpu"' in orchestrator("execution", "show", "abc123").out


def test_logs_can_be_narrowed_and_given_as_json(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("SUCCESS")
    server.lines = [log_line("quiet", level="DEBUG"), log_line("loud", level="ERROR"), log_line("other", task="other")]
    assert [line["message"] for line in json.loads(orchestrator("execution", "logs", "abc", "--level", "info", "--json").out)] == ["loud", "other"]
    assert orchestrator("execution", "logs", "abc", "--task", "other").out.endswith("INFO  other │ other\n")


def test_logs_are_followed_to_the_end(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("RUNNING")
    server.late = [log_line("the last")]
    lines = orchestrator("execution", "logs", "-f", "abc", "--json").out.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["Hello world", "Hello world", "the last"]


def test_kill_asks_the_server(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("RUNNING")
    assert orchestrator("execution", "kill", "abc").code == 0
    assert server.killed.is_set()


def test_killing_what_has_ended_exits_with_2(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("SUCCESS")
    said = orchestrator("execution", "kill", "abc123")
    assert (said.code, said.err) == (2, "error[conflict]: it has ended already\n")


def test_outputs_of_a_flow_and_of_a_task_are_json(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("SUCCESS", task_run("load", "SUCCESS", outputs={"rows": 3}), outputs={"total": 3})
    assert json.loads(orchestrator("execution", "outputs", "abc").out) == {"total": 3}
    assert json.loads(orchestrator("execution", "outputs", "abc", "--task", "load").out) == {"rows": 3}
    assert orchestrator("execution", "outputs", "abc", "--task", "nothing").code == 2


# workers and the rest


def test_workers_and_their_groups_are_listed(server: FakeServer, orchestrator: Command) -> None:
    up = {"name": "gpu-1", "group": "gpu", "nodeId": "n1", "hostname": "box", "slots": 8, "used": 2, "state": "up"}
    server.workers = [up, {**up, "name": "gpu-2", "state": "lost"}]
    server.groups = [{"key": "gpu", "workers": server.workers, "slots": 8, "used": 2, "queued": 3}]
    assert orchestrator("worker", "ls").out.splitlines()[1].split() == ["gpu-1", "gpu", "up", "2/8", "box"]
    assert orchestrator("worker-group", "ls").out.splitlines()[1].split() == ["gpu", "1", "of", "2", "2/8", "3"]
    assert json.loads(orchestrator("worker-group", "ls", "--json").out)[0]["queued"] == 3


def test_every_code_that_checking_can_give_is_explained() -> None:
    import re

    import orchestrator.lang
    from orchestrator.cli.explain import CODES

    room = Path(orchestrator.lang.__file__ or "").parent
    given = {code for file in room.glob("*.py") for code in re.findall(r"(?:add|Problem|_refuse)\(\s*\"([a-z]+(?:-[a-z]+)+)\"", file.read_text())}
    assert given
    assert given <= set(CODES)


def test_explain_offers_the_nearest_code(orchestrator: Command) -> None:
    assert orchestrator("explain", "wrong-type").code == 0
    said = orchestrator("explain", "wrong-tpe")
    assert (said.code, "did you mean `wrong-type`?" in said.err) == (2, True)


def test_explain_tells_why_an_execution_does_not_run_and_what_to_do(orchestrator: Command, server: FakeServer) -> None:
    server.executions["abc123"] = execution("RUNNING", task_run("train", "CREATED"))
    waits = {"taskId": "train", "state": "CREATED", "reason": "NO_LIVE_WORKER", "message": "No worker is up in worker group 'gpu'", "fix": "start one"}
    passed = {"place": "worker group 'big'", "reason": "AT_CAPACITY", "detail": "all 4 slots are in use", "waited": "PT5S"}
    other = {"taskId": "other", "state": "RETRYING", "reason": "WAITING_RETRY", "message": "later", "fix": "wait", "value": "x"}
    server.explanations = [{**waits, "since": "2026-01-31T10:00:00Z", "evidence": {"passedOver": [passed]}}, other]
    said = orchestrator("explain", "abc").out
    for part in ("train", "NO_LIVE_WORKER", "No worker is up", "passed over worker group 'big': AT_CAPACITY, all 4 slots", "fix: start one", "other [x]"):
        assert part in said
    assert "other" not in orchestrator("explain", "abc123.train").out
    assert json.loads(orchestrator("explain", "abc123", "--json").out)["explanations"][0]["reason"] == "NO_LIVE_WORKER"
    server.explanations = []
    assert "nothing of it waits" in orchestrator("explain", "abc123").out
    assert orchestrator("explain", "nobody").code == 2


def test_the_schema_names_the_installed_types(orchestrator: Command) -> None:
    said = orchestrator("schema")
    assert "io.kestra.plugin.core.log.Log" in json.dumps(json.loads(said.out))


def test_the_version_is_told(orchestrator: Command) -> None:
    assert orchestrator("version").out.startswith("orchestrator ")
    assert "orchestrator" in json.loads(orchestrator("version", "--json").out)


def test_help_begins_with_examples(orchestrator: Command) -> None:
    for command in ([], ["run"], ["flow", "validate"], ["execution", "logs"]):
        assert orchestrator(*command, "-h").out.startswith("Examples:\n  orchestrator ")


def test_a_misspelt_command_is_met_with_the_nearest(orchestrator: Command) -> None:
    said = orchestrator("rnu")
    assert (said.code, "Did you mean 'run'" in said.err) == (2, True)
