"""Every command of the page on joining does what is said there: its `sh` blocks are typed in order, against one server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.local_server import LocalServer, eventually, local_server
from tests.integration.machines import clean

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "joining.md"
PORT = "8080"  # as the page has it; the test takes a free one
BLOCKS = re.findall(r"^```sh *(\w*)\n(.*?)^```", PAGE.read_text(), re.M | re.S)


class Typist:
    """Types blocks into a shell, in a folder of its own, as the administrator of a server."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.background: list[subprocess.Popen[str]] = []
        path = f"{Path(sys.executable).parent}:{clean().get('PATH', '')}"
        self.environ = {**clean(), "PATH": path, "ORCHESTRATOR_SERVER": server.url, "ORCHESTRATOR_API_TOKEN": str(server.token)}

    def type(self, mark: str, block: str) -> None:
        command = ["bash", "-euo", "pipefail", "-c", block.replace(PORT, str(self.server.port))]
        if mark == "background":
            log = (self.folder / "background.log").open("a")
            self.background.append(subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=log, stderr=log, text=True, start_new_session=True))
            eventually(self._is_joined, within=60, what=f"the machine has joined; it said: {self.said()}")
            return
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"

    def said(self) -> str:
        return (self.folder / "background.log").read_text()

    def _is_joined(self) -> bool:
        assert all(process.poll() is None for process in self.background), self.said()
        return "Joined" in self.said()


@contextmanager
def typist(server: LocalServer, folder: Path) -> Iterator[Typist]:
    found = Typist(server, folder)
    try:
        yield found
    finally:
        for process in found.background:
            if process.poll() is None:
                process.terminate()
                process.wait(30)


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
