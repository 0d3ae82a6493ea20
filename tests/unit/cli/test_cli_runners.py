"""The commands around what task runners have made."""

from __future__ import annotations

import json
from typing import Any

from cli_fake_server import FakeServer, execution
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


# costs

PRICE = {"service": "aws-fargate", "region": "eu-west-1", "usd_per_vcpu_hour": 0.04, "date": "2026-01-01", "source": "https://example.org/prices"}
COSTS: dict[str, Any] = {
    "executionId": "abc123",
    "currency": "USD",
    "total": 0.000215,
    "taskRuns": 3,
    "unknown": 1,
    "running": 0,
    "complete": False,
    "byTask": [
        {"taskId": "load", "total": 0.000215, "taskRuns": 2, "unknown": 0, "running": 0},
        {"taskId": "odd", "total": 0, "taskRuns": 1, "unknown": 1, "running": 0},
    ],
    "byRunner": [{"runner": "io.kestra.plugin.ee.aws.runner.Batch", "total": 0.000215, "taskRuns": 3, "unknown": 1, "running": 0}],
    "runs": [{"taskRunId": "r", "taskId": "load", "state": "SUCCESS", "cost": 0.000215, "price": PRICE}],
}


def test_a_cost_is_told_with_its_doubts_and_its_sources(server: FakeServer, orchestrator: Command) -> None:
    server.executions["abc123"] = execution("SUCCESS")
    server.further["GET", "/api/v1/executions/abc123/cost"] = COSTS
    lines = orchestrator("execution", "cost", "abc1").out.splitlines()
    assert lines[0] == "0.000215 USD at least (1 task runs of unknown cost)"
    assert [line.split() for line in lines if line.startswith(("load", "odd", "io."))] == [
        ["load", "2", "0.000215"],
        ["odd", "1", "unknown"],
        ["io.kestra.plugin.ee.aws.runner.Batch", "3", "0.000215", "+", "1", "unknown"],
    ]
    assert lines[-1] == "  aws-fargate: as of 2026-01-01, https://example.org/prices"
    assert json.loads(orchestrator("execution", "cost", "abc123", "--json").out) == COSTS
