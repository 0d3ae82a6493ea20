"""What the tests of the SQL family on PostgreSQL share: how a task is run, and how something is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from orchestrator import registry
from orchestrator.sdk.fakes import FakeContext
from tests.unit.runtime.worker_house import PATIENCE

QUERY, QUERIES, TRIGGER = (f"io.kestra.plugin.jdbc.postgresql.{name}" for name in ("Query", "Queries", "Trigger"))
Ask = Callable[[str], list[tuple[Any, ...]]]


def asker(url: str) -> Ask:
    """Asks the server directly."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    return ask


def run(ctx: FakeContext, sql: str, kind: str = QUERY, **properties: Any) -> Any:
    made = registry.load("trigger" if kind == TRIGGER else "task", kind)
    task = made.model_validate({"id": "t", "type": kind, "url": "{{ url }}", "sql": sql, **properties})
    return task.evaluate(ctx) if kind == TRIGGER else task.run(ctx)


def row(ctx: FakeContext, sql: str, **properties: Any) -> dict[str, Any]:
    outputs: dict[str, dict[str, Any]] = run(ctx, sql, fetchType="FETCH_ONE", **properties)
    return outputs["row"]


def until(holds: Callable[[], Any], within: float = PATIENCE) -> Any:
    deadline = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    return found
