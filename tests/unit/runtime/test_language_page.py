"""Every flow of the page on the language, run to its end."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.unit.runtime.executor_house import house

PAGE = Path(__file__).parents[3] / "docs/language.md"
FLOWS = re.findall(r"```yaml\n(id: (\S+)\n.*?)```", PAGE.read_text(), re.DOTALL)
ENDS = {"troubles": "WARNING", "changing": "WARNING"}  # what was allowed to fail is a warning; the other exits with one


@pytest.mark.parametrize(("source", "name"), FLOWS, ids=[name for _, name in FLOWS])
def test_a_flow_of_the_page_runs_as_it_stands_there(tmp_path: Path, source: str, name: str) -> None:
    async def check() -> None:
        async with house(tmp_path, groups=("",)) as own:
            begun = await own.run(source, wait=False)
            done = await own.ended(begun["id"], within=30)
            assert done["state"]["current"] == ENDS.get(name, "SUCCESS"), [run for run in done["taskRunList"] if run["state"]["current"] == "FAILED"]

    asyncio.run(check())
