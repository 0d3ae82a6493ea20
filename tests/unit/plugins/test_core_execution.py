"""Tasks that act on their own execution, and those that report, run without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Level, Task, TaskFailed
from orchestrator.sdk.fakes import FakeContext


def build(name: str, **properties: Any) -> Task:
    made: Task = registry.load("task", name).model_validate({"id": "t", "type": name, **properties})
    return made


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    return FakeContext(tmp_path, {"name": "Ada", "n": 3, "no": "false", "state": "warning"})


def test_variables_are_rendered_and_set(ctx: FakeContext) -> None:
    assert build("core.execution.SetVariables", variables={"who": "{{ name }}", "deep": {"n": "{{ n }}"}}).run(ctx) == {}
    build("core.execution.SetVariables", variables={"who": 1}, overwrite=False).run(ctx)
    assert ctx.changes == [("put", {"who": "Ada", "deep": {"n": "3"}}, True), ("put", {"who": 1}, False)]


def test_variables_are_unset_by_name(ctx: FakeContext) -> None:
    build("core.execution.UnsetVariables", variables=["{{ name }}", "b"], ignoreMissing=True).run(ctx)
    assert ctx.changes == [("drop", ("Ada", "b"), True)]


@pytest.mark.parametrize(("written", "state"), [(None, "SUCCESS"), ("{{ state }}", "WARNING"), ("CANCELED", "CANCELLED"), ("KILLED", "KILLED")])
def test_an_exit_ends_the_execution_in_its_state(ctx: FakeContext, written: str | None, state: str) -> None:
    build("core.execution.Exit", **({} if written is None else {"state": written})).run(ctx)
    assert ctx.changes == [("end", state)]


def test_an_exit_in_a_state_that_is_no_end_fails(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"`state` must be one of SUCCESS, WARNING, .* not 'RUNNING'"):
        build("core.execution.Exit", state="RUNNING").run(ctx)
    assert ctx.changes == []


def test_assertions_that_hold_are_counted(ctx: FakeContext) -> None:
    assert build("core.execution.Assert", conditions=["{{ name }}", True]).run(ctx) == {"failed": 0, "success": 2}
    assert [metric[:3] for metric in ctx.metrics] == [("counter", "failed", 0), ("counter", "success", 2)]


def test_assertions_that_do_not_hold_are_all_named(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="2 of 3 assertions failed") as failed:
        build("core.execution.Assert", conditions=["{{ no }}", "{{ n }}", False]).run(ctx)
    assert failed.value.outputs == {"failed": 2, "success": 1}
    assert [text for level, text in ctx.logger.lines if level is Level.ERROR] == ["Assertion failed: {{ no }}", "Assertion failed: false"]


def test_an_assertion_fails_with_its_own_message(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r"^Ada is wrong$"):
        build("core.execution.Assert", conditions=["{{ no }}"], errorMessage="{{ name }} is wrong").run(ctx)


def test_metrics_are_published_as_written(ctx: FakeContext) -> None:
    rows = {"type": "counter", "name": "rows", "value": "{{ n }}", "tags": {"who": "{{ name }}", "n": 1}}
    build("core.metric.Publish", metrics=[rows, {"type": "gauge", "name": "load", "value": 0.5}]).run(ctx)
    assert ctx.metrics == [("counter", "rows", 3, {"who": "Ada", "n": "1"}), ("gauge", "load", 0.5, {})]
