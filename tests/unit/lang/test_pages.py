"""The flows that the pages show are flows, without so much as a warning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.lang.check import check

DOCS = Path(__file__).parents[3] / "docs"
FLOWS = [(page.name, source) for page in sorted(DOCS.glob("*.md")) for source in re.findall(r"```yaml\n(id:.*?)```", page.read_text(), re.DOTALL)]


def test_there_are_flows_on_the_pages() -> None:
    assert len([page for page, _ in FLOWS if page == "sql.md"]) == 3


@pytest.mark.parametrize(("page", "source"), FLOWS)
def test_a_flow_on_a_page_has_no_problem(page: str, source: str) -> None:
    flow, found = check(source, page)
    assert (flow is not None, found) == (True, ())
