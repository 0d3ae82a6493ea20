"""Every command of the page on joining does what is said there: its `sh` blocks are typed in order, against one server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.local_server import local_server
from tests.integration.typist import DOCS, blocks, typist

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

PAGE = DOCS / "joining.md"
BLOCKS = blocks(PAGE)


def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    assert [mark for mark, _ in BLOCKS].count("background") == 1
    with local_server(tmp_path, token="the-administrators-token") as server, typist(server, tmp_path) as typing:
        for mark, block in BLOCKS:
            typing.type(mark, block)
        assert [process.wait(30) for process in typing.background] == [0], "it was drained"


def test_the_unit_on_the_page_leaves_the_drain_its_time_and_is_not_started_again_after_a_refusal() -> None:
    unit = dict(re.findall(r"^(\w+)=(.*)$", re.search(r"^```ini\n(.*?)^```", PAGE.read_text(), re.M | re.S)[1], re.M))  # type: ignore[index]
    assert int(unit["TimeoutStopSec"]) > 5 * 60 + 20
    assert (unit["KillMode"], unit["Restart"], unit["RestartPreventExitStatus"]) == ("mixed", "on-failure", "2")


def test_the_page_names_every_option_of_the_command_with_its_variable() -> None:
    from typer.testing import CliRunner

    from orchestrator.cli.server import app

    told = CliRunner().invoke(app, ["worker", "-h"], terminal_width=300).output
    options = set(re.findall(r"--[a-z-]+", told)) - {"--help"}
    assert options
    assert [option for option in sorted(options) if f"`{option}`" not in PAGE.read_text()] == []
    assert [name for name in sorted(set(re.findall(r"ORCHESTRATOR_WORKER_[A-Z]+", told))) if f"`{name}`" not in PAGE.read_text()] == []
