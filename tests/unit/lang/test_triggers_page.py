"""What the page on triggers shows is true: its flow has no problem, its class does what it says, its table names real properties."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.engine.trigger_reasons import TriggerReasonKind
from orchestrator.lang.check import check
from orchestrator.model.trigger import MOST_LISTENERS, MOST_LOOKS
from orchestrator.sdk import PollingTrigger
from orchestrator.sdk.fakes import FakeContext

PAGE = (Path(__file__).parents[3] / "docs/triggers.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("source", blocks("yaml"))
def test_a_flow_on_the_page_has_no_problem(source: str) -> None:
    flow, found = check(source, "triggers.md")
    assert (flow is not None, found) == (True, ())


def test_the_trigger_on_the_page_is_one(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(blocks("python")[0], "triggers.md", "exec", dont_inherit=True), names)
    arrival = names["Arrival"].model_validate({"id": "t", "type": "x", "path": str(tmp_path / "{{ name }}"), "interval": "PT5S"})
    assert isinstance(arrival, PollingTrigger)
    ctx = FakeContext(tmp_path, {"name": "a.csv"})
    assert arrival.evaluate(ctx) is None
    (tmp_path / "a.csv").write_text("1,2")
    found = arrival.evaluate(ctx)
    assert found is not None
    assert (found["name"], ctx.files.open(found["uri"]).read(), arrival.evaluate(ctx)) == ("a.csv", b"1,2", None)


def test_the_properties_in_the_table_are_there() -> None:
    fields = registry.load("trigger", "core.http.Trigger").model_fields
    written = {field.alias or name for name, field in fields.items()}
    rows = [row.split("|")[1] for row in re.findall(r"^\| `.*$", PAGE, re.M)]
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row)} - {"fallback"}
    assert named
    assert named <= written


def test_the_reasons_and_bounds_on_the_page_are_those_of_the_engine() -> None:
    listed = PAGE.split("give the reason why", 1)[1]
    assert {kind.value for kind in TriggerReasonKind} == set(re.findall(r"`([A-Z_]{3,})`", listed.split("orchestrator trigger unlock", 1)[0]))
    assert f"at most {MOST_LOOKS} looks and holds {MOST_LISTENERS} listeners" in PAGE
