"""Every command of the README does what is said there: its `sh` blocks are run in order, against one server."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.runtime.ray_processes import free_ports
from tests.conftest import docker_answers
from tests.local_server import READY_LIMIT, end

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PORT = "8080"  # as the README has it; the tests take a free one
pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]


@dataclass(frozen=True)
class Command:
    """One line of a block: how the block is marked (nothing, `background` or `docker`), and what is typed."""

    mark: str
    words: tuple[str, ...]


def commands(text: str) -> list[Command]:
    """The commands of the `sh` blocks, in order."""
    blocks = re.findall(r"^```sh *(\w*)\n(.*?)^```", text, re.M | re.S)
    return [Command(mark, tuple(shlex.split(line, comments=True))) for mark, block in blocks for line in block.splitlines() if line.strip()]


COMMANDS = commands((ROOT / "README.md").read_text())


@dataclass
class Typist:
    """Types the README's commands on a port and a data folder of its own."""

    port: int
    data: Path
    running: ExitStack

    @property
    def environ(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.port}"
        return {**os.environ, "ORCHESTRATOR_PORT": str(self.port), "ORCHESTRATOR_DATA": str(self.data), "ORCHESTRATOR_SERVER": url}

    def type(self, command: Command) -> None:
        words = [word.replace(PORT, str(self.port)).replace(".venv/bin", str(BIN)) for word in command.words]
        if words[0] == "make":
            words.insert(1, "--dry-run")  # `make test` runs these very tests
        if command.mark == "background":
            self.running.enter_context(self._background(words))
            return
        done = subprocess.run(words, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"

    @contextmanager
    def _background(self, words: list[str]) -> Iterator[None]:
        with open(self.data.parent / "words", "a") as kept:
            process = subprocess.Popen(words, cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=kept, stderr=kept)
        try:
            self._await_health(process)
            yield
        finally:
            end(process)
        assert process.returncode in (0, -signal.SIGTERM, 143), f"{shlex.join(words)} ended with {process.returncode}"

    def _await_health(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_LIMIT
        while time.monotonic() < deadline:
            assert process.poll() is None, (self.data.parent / "words").read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise AssertionError((self.data.parent / "words").read_text())


def test_every_command_of_the_readme_works(tmp_path: Path) -> None:
    assert any(command.mark == "background" for command in COMMANDS)
    with ExitStack() as running:
        typist = Typist(free_ports(1)[0], tmp_path / "data", running)
        for command in COMMANDS:
            if command.mark != "docker" or os.environ.get("CI") == "true" or docker_answers():
                typist.type(command)


def test_every_file_that_the_readme_names_is_there() -> None:
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\]\(([^):]+)\)", text)) | set(re.findall(r"examples/\w+\.yaml", text))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_example_is_run_by_the_readme_or_another_page() -> None:
    pages = [command for page in (ROOT / "docs").glob("*.md") for command in commands(page.read_text())]
    run = {word for command in (*COMMANDS, *pages) if "run" in command.words for word in command.words}
    assert {f"examples/{path.name}" for path in (ROOT / "examples").glob("*.yaml")} - run == set()
