"""A job is halted at a named point, those who watch it are killed there, and what must hold then is looked at.

A back end is added by a line in `BACKENDS`: its runner with halts (`tests/halting`), and how its jobs are counted.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.local_server import LocalServer, eventually, local_server

HALTING = Path(__file__).resolve().parents[1] / "halting"
VICTIMS = ("supervisor", "executor", "both")
SOON_REAPED = {"ORCHESTRATOR_REAP_EVERY": "PT5S", "ORCHESTRATOR_REAP_GRACE": "PT2S"}
SAID = ["given", *(f"line {number}" for number in range(1, 6)), "last"]
FLOW = """
id: halted-{name}
namespace: halted
inputs:
  - {{id: folder, type: STRING}}
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: {image}
    taskRunner: {{type: {type}, halts: "{{{{ inputs.folder }}}}", {properties}}}
    inputFiles: {{given.txt: "given\\n"}}
    outputFiles: [made.txt]
    commands:
      - cat given.txt
      - for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done
      - echo kept > made.txt
      - printf last
      - exit 7
"""


@dataclass(frozen=True)
class Backend:
    """A runner with halts, its points, and what its place tells of the jobs of an execution since a moment."""

    type: str
    image: str
    properties: str
    points: Sequence[str]
    created: Callable[[str, float], int]
    left: Callable[[str], Sequence[str]]
    environ: Mapping[str, str] = field(default_factory=dict)


def _docker(*arguments: str) -> list[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout.split()


def containers_created(execution_id: str, since: float) -> int:
    """How many containers the engine has made for an execution."""
    label = f"label=kestra.io/execution-id={execution_id}"
    bounds = ("--since", f"{since:.3f}", "--until", f"{time.time():.3f}")
    return len(_docker("events", *bounds, "--filter", "event=create", "--filter", label, "--format", "{{.ID}}"))


def containers_left(execution_id: str) -> Sequence[str]:
    """The containers of an execution that are there, in whatever state."""
    return _docker("ps", "-aq", "--filter", f"label=kestra.io/execution-id={execution_id}")


BACKENDS = {
    "docker": Backend(
        type="test.HaltingDocker",
        image="test/busybox",
        properties="pullPolicy: NEVER",
        points=(
            "asked",
            "named",
            "handle saved",
            "after image_user",
            "after create",
            "after put",
            "after start",
            "running",
            "to be watched",
            "line 0 taken",
            "line 3 taken",
            "line 6 taken",
            "after inspected",
            "end seen",
            "collected",
            "outcome saved",
            "removed",
        ),
        created=containers_created,
        left=containers_left,
    )
}


class CrashSite:
    """A server on which jobs of one back end are halted."""

    def __init__(self, server: LocalServer, folder: Path, name: str, about: Backend) -> None:
        self.server, self._folder, self.backend = server, folder, about
        self._numbers = itertools.count()
        self._flow = server.flow(FLOW.format(name=name, image=about.image, type=about.type, properties=about.properties))

    def crash(self, point: str, victim: str) -> float:
        """Halt a job there, kill the victim, and see that all is well in the end; the seconds from the kill to the end.

        Raises AssertionError with what is not as it must be."""
        folder = self._folder / f"halt-{next(self._numbers)}"
        folder.mkdir()
        (folder / "point").write_text(point)
        since = time.time()
        execution_id = self.server.execute(self._flow, inputs={"folder": str(folder)})["id"]
        eventually((folder / "reached").exists, within=60, what=f"the job comes to `{point}`")
        killed = time.monotonic()
        if victim != "executor":
            os.kill(int((folder / "reached").read_text()), signal.SIGKILL)
        if victim != "supervisor":
            self.server.kill("ExecutorActor")
        (folder / "go").touch()
        ended = self.server.ended(execution_id, within=90)
        self._check(ended, execution_id, since)
        return time.monotonic() - killed

    def _check(self, ended: Mapping[str, Any], execution_id: str, since: float) -> None:
        run, logs = ended["taskRunList"][0], self.server.logs(execution_id)
        assert ended["state"]["current"] == "FAILED", logs
        assert run["outputs"].get("exitCode") == 7, (run["outputs"], logs)
        assert list(run["outputs"]["outputFiles"]) == ["made.txt"], run["outputs"]
        assert [line for line in logs if line in SAID] == SAID, logs
        assert self.backend.created(execution_id, since) == 1
        eventually(lambda: not self.backend.left(execution_id), within=60, what=f"nothing is left of {execution_id}: {self.backend.left(execution_id)}")


@contextmanager
def crash_site(folder: Path, name: str = "docker", backend: Backend | None = None) -> Iterator[CrashSite]:
    """A site with a server of its own, for one of `BACKENDS` or another."""
    about = backend or BACKENDS[name]
    with local_server(folder, environ={"PYTHONPATH": str(HALTING), **SOON_REAPED, **about.environ}) as server:
        yield CrashSite(server, folder, name, about)
