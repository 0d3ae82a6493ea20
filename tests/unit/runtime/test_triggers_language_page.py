"""What the page on schedules, Flow triggers and webhooks shows is true: its flows are saved and fire as it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.lang.check import check
from orchestrator.model.execution import Execution
from orchestrator.model.state import State
from orchestrator.sdk import WindowKind
from tests.unit.runtime.clock_house import Clock, Hour, hour

PAGE = (Path(__file__).parents[3] / "docs/language/triggers.md").read_text()
FLOWS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
EXTRACT = "id: extract\nnamespace: company.team\ntasks:\n  - {id: a, type: io.kestra.plugin.core.debug.Return, format: x}\n"


@pytest.mark.parametrize("source", FLOWS)
def test_a_flow_on_the_page_has_no_problem(source: str) -> None:
    flow, found = check(source, "triggers.md")
    assert (flow is not None, found) == (True, ())


def named(table: str) -> set[str]:
    """The words in the first column of the table that begins so."""
    rows = PAGE.split(table, 1)[1].split("\n\n", 1)[0]
    return {word for row in re.findall(r"^\| (`.*?) \|", rows, re.M) for word in re.findall(r"`(\w+)`", row)}


def test_the_tables_name_what_there_is() -> None:
    schedule = registry.load("trigger", "core.trigger.Schedule").model_fields
    assert named("| property | meaning |") <= {field.alias or name for name, field in schedule.items()} | {"scheduleConditions"}
    conditions = {registry.load("condition", name).__name__ for name in registry.types("condition")}
    assert named("| type, after `io.kestra.plugin.core.condition.` | holds |") == conditions - {"MultipleCondition"}
    assert named("| `timeWindow.type` | lies |") == {kind.value for kind in WindowKind}


async def lines(own: Hour, found: Iterable[Execution]) -> list[str]:
    """What the executions have said, once they have ended."""
    said = []
    for execution in found:
        ended = await own.house.ended(execution.id)
        assert ended["state"]["current"] == State.SUCCESS, ended
        told = await own.house.call("logs_after", execution_id=execution.id)
        said += [line["message"] for _, line in told]
    return said


def of(name: str) -> str:
    return next(str(source) for source in FLOWS if source.startswith(f"id: {name}\n"))


def test_the_flows_on_the_page_fire_as_it_says(tmp_path: Path) -> None:
    async def check() -> None:
        clock = Clock()
        async with hour(tmp_path, clock) as own:
            for name in ("report", "transform", "publish", "hook"):
                await own.house.flow(of(name))
            clock.now = clock.now.replace(day=7, hour=7, minute=0, second=0)
            own.executor.scheduler.stir()
            await own.until(lambda: own.executions("report"))
            assert await lines(own, own.executions("report")) == [
                "2024-05-07; before it 2024-05-06T09:00:00+02:00, next 2024-05-10T09:00:00+02:00"  # the 8th and the 9th are holidays in France
            ]
            clock.now -= timedelta(hours=2)
            await own.house.run(EXTRACT + "outputs: [{id: count, type: INT, value: 3}]\nlabels: {size: large}\n")
            await own.until(lambda: own.executions("transform"))
            assert (await lines(own, own.executions("transform")))[0].startswith("extract brought 3 rows in execution ")
            await own.house.run(EXTRACT.replace("extract", "clean") + "labels: {env: prod}\n")
            await own.until(lambda: own.executions("publish"))
            assert await lines(own, own.executions("publish")) == ["all are there"]
            assert (await call(own, {"name": "x"}))["execution"] is not None
            assert (await call(own, {}, "e2"))["execution"] is None
            assert await lines(own, own.executions("hook")) == ["x by y"]

    asyncio.run(check())


async def call(own: Hour, body: Any, execution_id: str = "e1") -> Any:
    variables = {"body": body, "parameters": {"source": ["y"]}, "headers": {}}
    name = {"namespace": "company.team", "flow_id": "hook", "key": "4wjtkzwVGBM9yKnjm3yv8r"}
    return await own.house.call("call_webhook", **name, execution_id=execution_id, variables=variables)
