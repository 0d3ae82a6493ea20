"""Pause, LoopUntil, and the tasks that resume and purge, without an engine."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator import registry
from orchestrator.sdk import Flowable, State, Task, TaskFailed
from orchestrator.sdk.fakes import FakeContext

PAUSE, UNTIL = "core.flow.Pause", "core.flow.LoopUntil"
SUB = {"id": "sub", "type": "core.log.Log", "message": "x"}


def flowable(name: str, **properties: Any) -> Flowable:
    made: Flowable = registry.load("task", name).model_validate({"id": "t", "type": name, **properties})
    return made


def task(name: str, **properties: Any) -> Task:
    made: Task = registry.load("task", name).model_validate({"id": "t", "type": name, **properties})
    return made


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("io.kestra.core.tasks.flows.Pause", PAUSE),
        ("io.kestra.plugin.core.flow.WaitFor", UNTIL),
        ("io.kestra.core.tasks.flows.WaitFor", UNTIL),
        ("io.kestra.core.tasks.executions.Resume", "core.execution.Resume"),
        ("io.kestra.core.tasks.storages.Purge", "core.execution.PurgeExecutions"),
    ],
)
def test_older_names_are_the_same_types(name: str, full: str) -> None:
    assert registry.load("task", name) is registry.load("task", full)


@pytest.mark.parametrize(
    ("properties", "length", "overdue"),
    [
        ({}, None, State.SUCCESS),
        ({"delay": "PT5S"}, 5, State.SUCCESS),
        ({"pauseDuration": "PT5S", "behavior": "WARN"}, 5, State.WARNING),
        ({"pauseDuration": "PT5S", "behavior": "CANCEL"}, 5, State.CANCELLED),
        ({"timeout": "PT3S"}, 3, State.FAILED),
        ({"pauseDuration": "PT5S", "timeout": "PT3S"}, 3, State.FAILED),
        ({"pauseDuration": "PT3S", "timeout": "PT5S"}, 3, State.SUCCESS),
    ],
)
def test_a_pause_waits_for_the_sooner_of_its_duration_and_its_timeout(properties: dict[str, str], length: int | None, overdue: State) -> None:
    wait = flowable(PAUSE, tasks=[SUB], **properties).plan({}).wait
    assert wait is not None
    assert (wait.length, wait.overdue) == (None if length is None else timedelta(seconds=length), overdue)


def test_templates_of_a_pause_are_asked_for_and_read() -> None:
    pause = flowable(PAUSE, pauseDuration="{{ inputs.d }}", behavior="{{ inputs.b }}")
    assert pause.questions() == {"pauseDuration": "{{ inputs.d }}", "behavior": "{{ inputs.b }}"}
    wait = pause.plan({"pauseDuration": "PT2S", "behavior": "fail"}).wait
    assert wait is not None
    assert (wait.length, wait.overdue) == (timedelta(seconds=2), State.FAILED)
    with pytest.raises(TaskFailed, match="ISO-8601"):
        pause.plan({"pauseDuration": "soon", "behavior": "FAIL"})
    with pytest.raises(TaskFailed, match="RESUME, WARN, FAIL, CANCEL"):
        pause.plan({"pauseDuration": "PT2S", "behavior": "later"})


@pytest.mark.parametrize("bad", [{"delay": "1h"}, {"behavior": "STOP"}, {"onResume": [{"id": "x"}]}])
def test_a_pause_that_cannot_be_read_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        flowable(PAUSE, **bad)


def test_a_loop_has_bounds_unless_it_says_that_it_has_none() -> None:
    repeat = flowable(UNTIL, condition="{{ 1 }}", tasks=[SUB]).plan({}).repeat
    assert repeat is not None
    assert (repeat.interval, repeat.most, repeat.longest, repeat.spent) == (timedelta(seconds=1), 100, timedelta(hours=1), State.SUCCESS)
    free = flowable(UNTIL, condition="{{ 1 }}", tasks=[SUB], checkFrequency={"maxIterations": None, "maxDuration": None}, failOnMaxReached=True).plan({}).repeat
    assert free is not None
    assert (free.most, free.longest, free.spent) == (None, None, State.FAILED)


@pytest.mark.parametrize("bad", [{"interval": "-PT1S"}, {"maxIterations": 0}, {"often": 1}, {"maxDuration": "1h"}])
def test_a_frequency_that_cannot_be_kept_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        flowable(UNTIL, condition="x", tasks=[SUB], checkFrequency=bad)


def test_templates_of_a_frequency_are_asked_for_and_read() -> None:
    loop = flowable(UNTIL, condition="x", tasks=[SUB], checkFrequency={"maxIterations": "{{ inputs.n }}"})
    assert loop.questions() == {"maxIterations": "{{ inputs.n }}"}
    repeat = loop.plan({"maxIterations": "7"}).repeat
    assert repeat is not None
    assert repeat.most == 7
    with pytest.raises(TaskFailed, match="whole number"):
        loop.plan({"maxIterations": "many"})


def test_a_resume_passes_its_values_on(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path, {"id": "e7"})
    assert task("core.execution.Resume", executionId="{{ id }}", inputs={"approved": True}).run(ctx) == {}
    assert ctx.records.resumed == {"e7": {"approved": True}}


def test_purges_say_what_went(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path, {})
    purge = task("core.execution.PurgeExecutions", namespace="a", endDate="2026-01-01T00:00:00Z", states=["SUCCESS"], purgeLog=False)
    assert purge.run(ctx) == {"executionsCount": 1, "logsCount": 2, "metricsCount": 3, "storagesCount": 4}
    assert task("core.log.PurgeLogs", endDate="2026-01-01T00:00:00Z", logLevels=["DEBUG"]).run(ctx) == {
        "count": 3,
        "executionLogsCount": 2,
        "nonExecutionLogsCount": 1,
    }
    assert ctx.records.purged[0]["what"] == {"execution": True, "logs": False, "metrics": True, "storage": True}
    assert (ctx.records.purged[0]["states"], ctx.records.purged[1]["logLevels"]) == (["SUCCESS"], ["DEBUG"])
