"""The page on subflows and shared folders says what is so: every flow on it is run."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.unit.runtime.executor_house import house

PAGE = Path(__file__).parents[3] / "docs" / "language" / "subflows.md"
FLOWS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
BEGUN = ("caller", "each-row", "share")


@pytest.mark.parametrize("flow_id", BEGUN)
def test_the_flow_on_the_page_runs(tmp_path: Path, flow_id: str) -> None:
    async def check() -> None:
        async with house(tmp_path, stores_files=True) as own:
            for source in FLOWS:
                await own.flow(source)
            ended = await own.call("create_execution", namespace="company.team", flow_id=flow_id, wait=True)
            assert ended["state"]["current"] == "SUCCESS", [(run["taskId"], run.get("error")) for run in ended["taskRunList"]]

    asyncio.run(check())


def test_every_flow_on_the_page_is_run() -> None:
    named = {match[1] for source in FLOWS if (match := re.match(r"id: (\S+)", source))}
    assert named == {*BEGUN, "greet", "double"}
