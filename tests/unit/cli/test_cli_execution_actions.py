"""What people do to an execution by hand: what is asked of the server, and what is said of it."""

from __future__ import annotations

import json

import pytest
from cli_fake_server import FakeServer, execution, task_run
from cli_words import Command


def test_a_restart_goes_on_with_the_execution_at_the_revision_named(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("FAILED")
    server.further["POST", "/api/v1/executions/abc123/restart"] = execution("RESTARTED")
    said = orchestrator("execution", "restart", "abc", "--revision", "3", "--json")
    assert (said.code, json.loads(said.out)["state"]["current"]) == (0, "RESTARTED")
    assert "restarting abc123" in said.err
    assert server.asked[-1] == "POST /api/v1/executions/abc123/restart"


def test_a_replay_from_a_task_names_its_one_task_run_and_tells_the_new_execution(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("SUCCESS", task_run("load", "SUCCESS"))
    server.further["POST", "/api/v1/executions/abc123/replay"] = execution("CREATED", identity="new456")
    said = orchestrator("execution", "replay", "abc123", "--task", "load")
    assert (said.code, said.err.splitlines()[0]) == (0, "replaying abc123 as new456")
    assert server.queries["POST /api/v1/executions/abc123/replay"] == [("taskRunId", "run-load")]


@pytest.mark.parametrize(("runs", "words"), [((), "has not run"), (("load", "load"), "has run 2 times")])
def test_a_replay_from_a_task_that_is_not_one_run_is_refused(server: FakeServer, orchestrator: Command, runs: tuple[str, ...], words: str) -> None:
    server.executions["abc123"] = execution("SUCCESS", *(task_run(one, "SUCCESS") for one in runs))
    said = orchestrator("execution", "replay", "abc123", "--task", "load")
    assert said.code == 2
    assert words in said.err


def test_a_refusal_of_the_server_is_told(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("SUCCESS")
    server.further["POST", "/api/v1/executions/abc123/force-run"] = (409, {"message": "Illegal state: execution already finished"})
    said = orchestrator("execution", "force-run", "abc123")
    assert (said.code, said.err) == (2, "error[conflict]: execution already finished\n")
