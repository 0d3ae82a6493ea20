"""The commands around triggers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from cli_fake_server import FakeServer
from cli_words import Command

NAME = "company.team/hello/every-minute"


def _trigger(**state: Any) -> dict[str, Any]:
    known = {"namespace": "company.team", "flowId": "hello", "triggerId": "every-minute", "date": "2026-01-31T10:00:00.000Z", "disabled": False}
    return {
        "abstractTrigger": {"id": "every-minute", "type": "core.http.Trigger"},
        "state": {**known, **state},
        "reason": {"kind": "NO_LIVE_WORKER", "since": "2026-01-31T10:00:00.000Z", "evidence": {"places": ["worker group 'edge'"]}},
    }


@pytest.mark.parametrize(
    ("state", "doing"),
    [
        ({"nextExecutionDate": "2999-01-01T00:00:00.000Z"}, "waits"),
        ({"disabled": True}, "disabled"),
        ({"executionId": "abc"}, "waits for execution abc"),
        ({"evaluateRunningDate": "2026-01-31T10:00:00.000Z", "workerId": "worker:edge:1"}, "evaluating on worker:edge:1"),
    ],
)
def test_triggers_are_listed_with_what_they_do(server: FakeServer, orchestrator: Command, state: dict[str, Any], doing: str) -> None:
    server.triggers = [_trigger(**state)]
    line = orchestrator("trigger", "ls").out.splitlines()[1]
    assert line.startswith(f"{NAME}  {doing}  ")
    assert ("in " in line) is ("nextExecutionDate" in state)
    assert json.loads(orchestrator("trigger", "ls", "--json").out)[0]["state"]["triggerId"] == "every-minute"


def test_a_trigger_that_its_flow_disables_is_listed_as_disabled(server: FakeServer, orchestrator: Command) -> None:
    server.triggers = [{**_trigger(), "abstractTrigger": {"type": "core.http.Trigger", "disabled": True}}]
    assert "  disabled  " in orchestrator("trigger", "ls").out


def test_no_triggers_are_told_as_such(server: FakeServer, orchestrator: Command) -> None:
    assert orchestrator("trigger", "ls").err == "no triggers\n"


def test_a_trigger_is_shown_with_the_reason_and_the_end_of_its_log(server: FakeServer, orchestrator: Command) -> None:
    server.triggers = [_trigger()]
    server.trigger_lines = [{"timestamp": "2026-01-31T10:00:01.000Z", "level": "ERROR", "message": "no door\x1b[2J there"}]
    said = orchestrator("trigger", "show", NAME).out.splitlines()
    assert said[0] == f"{NAME} · core.http.Trigger"
    assert said[1].startswith("NO_LIVE_WORKER · places worker group 'edge' · since ")
    assert said[2].startswith("evaluated ")
    assert said[3].endswith("ERROR no door[2J there")
    assert json.loads(orchestrator("trigger", "show", NAME, "--json").out)["reason"]["kind"] == "NO_LIVE_WORKER"


def test_a_trigger_is_disabled_enabled_and_unlocked(server: FakeServer, orchestrator: Command) -> None:
    server.triggers = [_trigger(executionId="abc")]
    assert orchestrator("trigger", "disable", NAME).err == f"disabled {NAME}\n"
    assert server.triggers[0]["state"]["disabled"] is True
    assert json.loads(orchestrator("trigger", "enable", NAME, "--json").out)["disabled"] is False
    assert orchestrator("trigger", "unlock", NAME).err == f"unlocked {NAME}\n"
    again = orchestrator("trigger", "unlock", NAME)
    assert (again.code, "Trigger is not locked" in again.err) == (2, True)


def test_a_backfill_is_started_shown_paused_resumed_and_cancelled(server: FakeServer, orchestrator: Command) -> None:
    server.triggers = [_trigger()]
    begun = orchestrator(
        "trigger", "backfill", "start", NAME, "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-05T00:00:00Z", "-i", "day=x", "-l", "made=up", "--json"
    )
    asked = json.loads(begun.out)["backfill"]
    assert (asked["inputs"], asked["labels"]) == ({"day": "x"}, [{"key": "made", "value": "up"}])
    assert begun.err == f"making up for the dates of {NAME} from 2026-01-01T00:00:00+00:00 to 2026-01-05T00:00:00+00:00\n"
    server.triggers[0]["state"]["backfill"]["currentDate"] = "2026-01-02T00:00:00Z"
    assert "(25 %)" in orchestrator("trigger", "show", NAME).out
    assert orchestrator("trigger", "backfill", "pause", NAME).err == f"paused the backfill of {NAME}\n"
    assert next(line for line in orchestrator("trigger", "show", NAME).out.splitlines() if line.startswith("backfill ")).endswith(", paused")
    assert orchestrator("trigger", "backfill", "resume", NAME).err == f"resumed the backfill of {NAME}\n"
    assert orchestrator("trigger", "backfill", "cancel", NAME).err == f"cancelled the backfill of {NAME}\n"
    again = orchestrator("trigger", "backfill", "cancel", NAME)
    assert (again.code, "No backfill found" in again.err) == (2, True)


def test_a_moment_without_an_offset_is_of_this_machines_zone(server: FakeServer, orchestrator: Command) -> None:
    server.triggers = [_trigger()]
    given = json.loads(orchestrator("trigger", "backfill", "start", NAME, "--from", "2026-01-01", "--json").out)["backfill"]
    assert datetime.fromisoformat(given["start"]) == datetime(2026, 1, 1).astimezone()
    assert "end" not in given


def test_a_moment_that_is_none_is_refused(server: FakeServer, orchestrator: Command) -> None:
    said = orchestrator("trigger", "backfill", "start", NAME, "--from", "yesterday")
    assert (said.code, "--from takes a date or a date-time" in said.err) == (2, True)


@pytest.mark.parametrize("name", ["hello", "company.team/hello", "a/b/c/d", "a//c"])
def test_a_trigger_is_named_by_three_words(server: FakeServer, orchestrator: Command, name: str) -> None:
    said = orchestrator("trigger", "show", name)
    assert (said.code, "a trigger is named NAMESPACE/FLOW/TRIGGER" in said.err) == (2, True)


def test_one_that_is_not_there_is_told_so(server: FakeServer, orchestrator: Command) -> None:
    said = orchestrator("trigger", "show", NAME)
    assert (said.code, "Trigger every-minute not found" in said.err) == (2, True)
