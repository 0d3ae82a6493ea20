"""Types the `sh` blocks of a page of the docs, as a reader would: in order, in one folder, against one server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.local_server import LocalServer, eventually
from tests.integration.machines import clean

DOCS = Path(__file__).resolve().parents[2] / "docs"
PORT = "8080"  # as the pages have it; a test takes a free one


def blocks(page: Path) -> list[tuple[str, str]]:
    """The `sh` blocks in order: how each is marked (nothing, `background`, or `server` for the one that starts it), and its text."""
    return re.findall(r"^```sh *(\w*)\n(.*?)^```", page.read_text(), re.M | re.S)


class Typist:
    """Types blocks into a shell, in a folder of its own, as the administrator of a server."""

    def __init__(self, server: LocalServer, folder: Path, where: Path) -> None:
        self.server, self.folder, self.where = server, folder, where
        self.background: list[subprocess.Popen[str]] = []
        path = f"{Path(sys.executable).parent}:{clean().get('PATH', '')}"
        self.environ = {**clean(), "PATH": path, "ORCHESTRATOR_SERVER": server.url, "ORCHESTRATOR_API_TOKEN": str(server.token)}

    def type(self, mark: str, block: str) -> None:
        command = ["bash", "-euo", "pipefail", "-c", block.replace(PORT, str(self.server.port))]
        if mark == "background":
            log = (self.folder / "background.log").open("a")
            self.background.append(subprocess.Popen(command, cwd=self.where, env=self.environ, stdout=log, stderr=log, text=True, start_new_session=True))
            eventually(self._is_joined, within=60, what=f"the machine has joined; it said: {self.said()}")
            return
        done = subprocess.run(command, cwd=self.where, env=self.environ, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"

    def said(self) -> str:
        return (self.folder / "background.log").read_text()

    def _is_joined(self) -> bool:
        assert all(process.poll() is None for process in self.background), self.said()
        return "Joined" in self.said()


@contextmanager
def typist(server: LocalServer, folder: Path, *, where: Path | None = None) -> Iterator[Typist]:
    """`folder` keeps what is said in the background, and is where it is typed unless `where` is."""
    found = Typist(server, folder, where or folder)
    try:
        yield found
    finally:
        for process in found.background:
            if process.poll() is None:
                process.terminate()
                process.wait(30)
