"""The commands around what task runners have made."""

from __future__ import annotations

import json
from typing import Any

from cli_fake_server import FakeServer
from cli_words import Command

FOUND: dict[str, Any] = {
    "key": "house-f-t-0123456789abcdef",
    "kind": "container",
    "name": "f00d" * 16,
    "state": "running",
    "ownership": "running",
    "executionId": "abc123",
    "taskId": "t",
    "created": "2026-01-31T10:00:00Z",
    "keep": False,
    "runner": "io.kestra.plugin.scripts.runner.docker.Docker",
    "backend": "docker:unix:///var/run/docker.sock",
    "labels": {},
}
TROUBLE = {"backend": "aws-batch:eu-west-1", "message": "no credentials"}


def test_what_is_out_there_is_listed_with_its_owner_and_with_who_could_not_be_asked(server: FakeServer, orchestrator: Command) -> None:
    server.further["GET", "/api/v1/runners"] = {"found": [FOUND], "troubles": [TROUBLE]}
    said = orchestrator("runner", "ls")
    line = said.out.splitlines()[1].split()
    assert line[:6] == ["container", "house-f-t-0123456789abcdef", "running", "running", "abc123", "t"]
    assert said.err == "aws-batch:eu-west-1 cannot be asked: no credentials\n"
    assert json.loads(orchestrator("runner", "ls", "--json").out) == {"found": [FOUND], "troubles": [TROUBLE]}


def test_nothing_out_there_is_said(server: FakeServer, orchestrator: Command) -> None:
    server.further["GET", "/api/v1/runners"] = {"found": [], "troubles": []}
    said = orchestrator("runner", "ls")
    assert (said.code, said.out, said.err) == (0, "", "nothing of ours is at any back end\n")


def test_a_dry_run_asks_for_one(server: FakeServer, orchestrator: Command) -> None:
    orphan = {**FOUND, "ownership": "orphaned", "kind": "job", "name": "n" * 60}
    told = {"found": [orphan], "folders": ["k"], "removed": [], "troubles": [], "dryRun": True}
    server.further["POST", "/api/v1/runners/reap"] = told
    said = orchestrator("runner", "reap", "--dry-run")
    assert server.bodies["POST /api/v1/runners/reap"] == {"dryRun": True}
    assert ("orphaned" in said.out, "n" * 22 + ".." + "n" * 16 in said.out, said.err) == (True, True, "working folders without an owner: 1\n")
    assert json.loads(orchestrator("runner", "reap", "--dry-run", "--json").out) == told


def test_a_reaping_says_how_much_went(server: FakeServer, orchestrator: Command) -> None:
    server.further["POST", "/api/v1/runners/reap"] = {"found": [FOUND], "folders": [], "removed": [FOUND["key"]], "troubles": [], "dryRun": False}
    assert orchestrator("runner", "reap").err == "jobs whose leftovers were removed: 1\n"
