"""What of a trigger as written decides about it, and what a new revision changes for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from orchestrator.engine.trigger_events import Definition, Kind
from orchestrator.model.flow import Flow
from orchestrator.model.state import State
from orchestrator.runtime.trigger_definitions import definition_of, differs
from tests.unit.runtime.trigger_house import installed

TASKS = [{"id": "a", "type": "io.kestra.plugin.core.debug.Return"}]


@pytest.fixture(autouse=True)
def lookouts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch):
        yield


def _flow(kind: str = "test.Lookout", about: dict[str, Any] | None = None, **properties: Any) -> Flow:
    trigger = {"id": "t", "type": kind, **({"folder": "/x"} if kind.startswith("test.") else {}), **properties}
    return Flow.model_validate({"id": "f", "namespace": "house", "tasks": TASKS, "triggers": [trigger], **(about or {})})


def _definition(kind: str = "test.Lookout", about: dict[str, Any] | None = None, **properties: Any) -> Definition:
    flow = _flow(kind, about, **properties)
    return definition_of(flow, flow.triggers[0])


MINUTE = timedelta(minutes=1)


def test_a_look_that_names_no_timeout_has_its_interval_or_five_minutes() -> None:
    assert _definition() == Definition(Kind.POLL, interval=MINUTE, timeout=5 * MINUTE)
    assert _definition(interval="PT1H") == Definition(Kind.POLL, interval=60 * MINUTE, timeout=60 * MINUTE)
    assert _definition(interval="PT1H", timeout="PT10S") == Definition(Kind.POLL, interval=60 * MINUTE, timeout=timedelta(seconds=10))


def test_what_is_disabled_says_so() -> None:
    for found in (_definition(disabled=True), _definition(about={"disabled": True}), _definition(about={"deleted": True})):
        assert not found.enabled


def test_stop_after_and_concurrency_are_kept() -> None:
    assert _definition("test.Listener", stopAfter=["FAILED", "KILLED"]) == Definition(Kind.LISTEN, stop_after=(State.FAILED, State.KILLED))
    assert _definition(allowConcurrent=True).concurrent


@pytest.mark.parametrize(
    ("kind", "properties", "why"),
    [
        ("test.Lookout", {"conditions": [{"type": "x"}]}, "its conditions cannot be read: Invalid type: x"),
        (
            "core.trigger.Schedule",
            {"cron": "0 0 1 1"},
            "Value error, invalid cron expression '(0 0 1 1): Cron expression contains 4 parts but we expect one of [5]'",
        ),
        ("no.such.Trigger", {}, "its type is not installed on the server: Invalid type: no.such.Trigger"),
        ("test.Lookout", {"interval": "PT0S"}, "interval: Value error, must be longer than nothing"),
    ],
)
def test_what_cannot_be_evaluated_has_a_state_that_says_why(kind: str, properties: dict[str, Any], why: str) -> None:
    found = _definition(kind, **properties)
    assert (found.obstacle, found.runs) == (why, False)


def test_how_a_trigger_comes_to_start_executions_follows_from_its_type() -> None:
    assert _definition("core.trigger.Schedule", cron="0 0 1 1 *") == Definition(Kind.DATES)
    assert _definition("core.trigger.ScheduleOnDates", dates=["2030-01-01T00:00:00Z"]).kind is Kind.DATES
    assert _definition("core.trigger.Webhook", key="k") == Definition(Kind.CALLED, concurrent=True)
    assert _definition("core.trigger.Flow") == Definition(Kind.HEARS, concurrent=True)


VARIABLES = {"variables": {"a": 1}}


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (_flow(), _flow(about={"description": "x"}), False),
        (_flow(), _flow(interval="PT5S"), True),
        (_flow(), _flow(about={"disabled": True}), True),
        (_flow(), _flow(about=VARIABLES), False),
        (_flow(about={"deleted": True}), _flow(), True),
        (_flow("test.Listener"), _flow("test.Listener", about=VARIABLES), True),
        (_flow("test.Listener"), _flow("test.Listener", about={"workerGroup": {"key": "edge"}}), True),
        (_flow("test.Listener"), _flow("test.Listener", about={"description": "x"}), False),
    ],
)
def test_a_revision_makes_a_difference_where_the_trigger_or_what_a_listener_began_with_has_changed(before: Flow, after: Flow, changed: bool) -> None:
    assert differs(before, after, "t") is changed
