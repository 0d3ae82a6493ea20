"""Kills, timeouts and crashes at random moments over many Docker runs: part of `make soak`, or

    python -m tests.soak.docker_storm [--runs 500] [--blows 1000] [--at-once 12] [--seed 1]

While the runs go on, blows fall: an execution is killed, a run is given a timeout that it cannot keep, the supervisor or the
executor is killed with SIGKILL. In the end nothing may be left of any run: no container, no volume, no process, no folder.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from orchestrator.runtime import ray_processes
from tests.contract.docker_images import changed_image, docker
from tests.integration.crash_points import SOON_REAPED
from tests.integration.local_server import ENDED, LocalServer, eventually, local_server
from tests.soak.recording import parser, record

FLOW = """
id: storm-{name}
namespace: storm
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: {image}
    taskRunner: {{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER, killGracePeriod: {grace}}}
    inputFiles: {{given.txt: given}}
    outputFiles: ["*.txt"]
    {timeout}
    commands: ["cat given.txt", "touch /storm/{mark}", "sleep {seconds}", "echo made > made.txt", "echo over"]
"""
KINDS = {  # of runs: how they end when nobody kills them
    "short": ({"grace": "PT0S", "timeout": "", "seconds": "0.5"}, "SUCCESS"),
    "long": ({"grace": "PT1S", "timeout": "", "seconds": "5"}, "SUCCESS"),
    "late": ({"grace": "PT0S", "timeout": "timeout: PT2S", "seconds": "60"}, "FAILED"),
}
BLOWS = {"kill": 90, "supervisor": 6, "executor": 4}  # of a hundred; a timeout comes with its run
LOST_TOO_OFTEN = "workers were lost while they held it"  # three may be: then a run is given up
PAUSE = 0.2  # seconds between two blows, on average


@dataclass
class Storm:
    """A server, what runs on it, and what has been done to it."""

    server: LocalServer
    image: str
    mark: str  # the name of a file that every container puts into its anonymous volume
    chance: random.Random
    flows: dict[str, tuple[str, str]] = field(default_factory=dict)
    going: dict[str, str] = field(default_factory=dict)  # execution id: kind
    killed: set[str] = field(default_factory=set)
    ends: Counter[str] = field(default_factory=Counter)
    blows: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        for name, (properties, _) in KINDS.items():
            self.flows[name] = self.server.flow(FLOW.format(name=name, image=self.image, mark=self.mark, **properties))

    def begin(self) -> None:
        kind = self.chance.choice(list(KINDS))
        self.blows["timeout"] += kind == "late"
        self.going[self.server.execute(self.flows[kind])["id"]] = kind

    def strike(self) -> None:
        blow = self.chance.choices(list(BLOWS), list(BLOWS.values()))[0]
        self.blows[blow] += 1
        if blow == "executor":
            self.server.kill("ExecutorActor")
        elif blow == "supervisor":
            for process in supervisors(self.server):
                process.send_signal(signal.SIGKILL)
        elif self.going:
            one = self.chance.choice(list(self.going))
            self.killed.add(one)
            self.server.call("DELETE", f"/api/v1/executions/{one}/kill")

    def collect(self) -> None:
        """Take note of those that have ended."""
        for one, kind in list(self.going.items()):
            found = self.server.execution(one)["state"]["current"]
            if found in ENDED:
                del self.going[one]
                self.ends[f"{kind}: {found}"] += 1
                if found in ({KINDS[kind][1], "KILLED"} if one in self.killed else {KINDS[kind][1]}):
                    continue
                said = self.server.logs(one)[-3:]
                if found == "FAILED" and said and LOST_TOO_OFTEN in said[-1]:
                    self.ends["of them: more than three supervisors were killed under it"] += 1
                else:
                    self.wrong.append(f"{one} ({kind}) ended {found}: {said}")


def supervisors(server: LocalServer) -> list[psutil.Process]:
    """The processes of its supervisors, whatever call their title tells of: they alone have a spawner and no slot."""
    mark = server.mark()
    assert mark is not None
    return [process for process in ray_processes.marked(mark) if _is_supervisor(process)]


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        title = " ".join(process.cmdline())
    except psutil.Error:
        return False
    return title.startswith(("ray::SupervisorActor", "ray::storm."))


def storm(found: Storm, *, runs: int, blows: int, at_once: int) -> None:
    """Let it blow over."""
    found.prepare()
    begun = 0
    while begun < runs or found.going:
        try:
            while begun < runs and len(found.going) < at_once:
                found.begin()
                begun += 1
            while found.blows.total() < blows * begun / runs:  # spread evenly over the runs
                found.strike()
            found.collect()
        except (urllib.error.URLError, OSError, AssertionError, psutil.Error):
            pass  # the one who was asked has just been killed
        time.sleep(found.chance.uniform(0, 2 * PAUSE))


def left(found: Storm) -> list[str]:
    """What is still there of the runs."""
    containers = docker("ps", "-aq", "--filter", f"ancestor={found.image}").split()
    volumes = [name for name in docker("volume", "ls", "-q").split() if _is_marked(name, found.mark)]
    return [*containers, *volumes, *map(str, folders(found.server)), *orphans(found.server)]


def _is_marked(volume: str, mark: str) -> bool:
    """Whether one of the storm's containers has made a volume. One that goes meanwhile is none."""
    asked = subprocess.run(["docker", "volume", "inspect", "-f", "{{.Mountpoint}}", volume], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and Path(asked.stdout.strip(), mark).exists()


def folders(server: LocalServer) -> Iterator[Path]:
    """The working directories of this server's places."""
    for base in Path(tempfile.gettempdir()).glob("orchestrator-*"):
        if base.stat().st_mtime >= server.data.stat().st_ctime - 60:
            yield from base.glob(str(Path("*", "*", "work", "storm-*")))


def orphans(server: LocalServer) -> Iterator[str]:
    """The processes that served a place, a spawner or a guard, and have outlived it."""
    mark = server.mark()
    ours = {process.pid: process for process in ray_processes.marked(mark)} if mark is not None else {}
    for process in ours.values():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if " -m orchestrator." in command and process.ppid() not in ours:
                yield f"process {process.pid}: {command}"


@contextmanager
def house(seed: int) -> Iterator[Storm]:
    """A server, and an image whose containers have a volume."""
    with (
        tempfile.TemporaryDirectory(prefix="orch-storm-") as folder,
        changed_image("VOLUME /storm") as image,
        local_server(Path(folder), environ=SOON_REAPED) as server,
    ):
        yield Storm(server, image, uuid.uuid4().hex, random.Random(seed))


def leaks(found: Storm, within: float = 120) -> list[str]:
    """What is left of a storm for so many seconds."""
    try:
        eventually(lambda: not left(found), within=within, what="nothing is left")
    except AssertionError:
        return left(found)
    return []


def main() -> int:
    """1 when anything was left, or ended otherwise than it must."""
    options = _options()
    begun = time.monotonic()
    with house(options.seed) as found:
        storm(found, runs=options.runs, blows=options.blows, at_once=options.at_once)
        print(f"blows: {dict(found.blows)}\nends: {dict(sorted(found.ends.items()))}", flush=True)
        behind = leaks(found)
    lines = [
        f"`tests.soak.docker_storm --runs {options.runs} --blows {options.blows} --seed {options.seed}`, {time.monotonic() - begun:.0f} s:",
        "",
        *(f"- {name}: {_counted(counts)}" for name, counts in (("blows", found.blows), ("ends", found.ends))),
        f"- left behind (containers, volumes, folders, processes): {', '.join(behind) or 'nothing'}",
        f"- ended otherwise than it must: {len(found.wrong) or 'none'}",
    ]
    print(*lines, *found.wrong, sep="\n")
    if options.record:
        record("a storm over Docker runs", lines)
    return int(bool(behind or found.wrong))


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _options() -> argparse.Namespace:
    found = parser(__doc__)
    found.add_argument("--runs", type=int, default=500)
    found.add_argument("--blows", type=int, default=1000)
    found.add_argument("--at-once", type=int, default=12)
    found.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    return found.parse_args()


if __name__ == "__main__":
    sys.exit(main())
