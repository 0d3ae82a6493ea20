"""The program that ends the containers of a machine which the head has lost: one small process beside a supervisor.

A container outlives its supervisor, so that the next one can adopt it. But what was on a lost machine is begun anew elsewhere,
and must not go on there as well. So this process outlives the supervisor too, and with it the node. It leaves a job alone as
long as its supervisor may go on; once it may not, it ends those that no other place has taken over:

- the supervisor died by itself and its node lives: the head sends another; wait for it, and watch the node;
- else: at the end of the lease, or `BESIDE` seconds later where another place of the group is alive on this machine: the head
  sends the job there, for it reaches the same engine.

It is run by file name and imports nothing of the project; what ends a job is a command that comes with it. On its input, one JSON a line:
`lease` (seconds), `guard` (key, argv, environ, given), `let_go` (key). The files are those of `machine_notes.py`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TICK = 0.2  # seconds between looks
RENEWED = 5.0  # seconds of a lease that are left to a supervisor whose machine is in reach, and which has just died
BESIDE = 20.0  # seconds that another place of this machine has for taking a job over
LIMIT = 60.0  # seconds for a job to be ended; then it is tried again
INSISTING = 600.0  # seconds for which it is


class Guard:
    """The loop: notes of the supervisor in, ends of its jobs out."""

    def __init__(self, root: Path, place: str, group: str, raylet: int) -> None:
        self.root, self.place, self.group = root, place, group
        self.raylet, self.raylet_began = raylet, began(raylet)
        self.deadline = time.monotonic() + RENEWED
        self.jobs: dict[str, dict[str, object]] = {}
        self.read = b""

    def serve(self) -> None:
        """Until nothing is left to guard."""
        is_alone = False
        while True:
            if not is_alone:
                is_alone = not self.take()
                was_in_reach = time.monotonic() < self.deadline - RENEWED
            else:
                time.sleep(TICK)
            self.forget_others()
            if is_alone and not self.jobs:
                return
            if time.monotonic() >= self.deadline and not (is_alone and was_in_reach and self.node_lives()):
                self.end_those_left()

    def take(self) -> bool:
        """Wait for what the supervisor says; False when it has gone."""
        if not select.select([0], [], [], TICK)[0]:
            return True
        data = os.read(0, 1 << 16)
        *lines, self.read = (self.read + data).split(b"\n")
        for line in lines:
            told = json.loads(line)
            if "lease" in told:
                self.deadline = time.monotonic() + float(told["lease"])
            elif "guard" in told:
                self.jobs[told["guard"]] = told
            else:
                self.jobs.pop(told["let_go"], None)
        return bool(data)

    def forget_others(self) -> None:
        """A job that another place has taken over, or that has ended, is nothing to this one."""
        for key in list(self.jobs):
            if read(self.root / "held" / key) != self.place:
                del self.jobs[key]

    def end_those_left(self) -> None:
        if time.monotonic() < self.deadline + BESIDE and self.is_somebody_beside():
            return
        for key in list(self.jobs):
            if self.end(self.jobs[key]) or time.monotonic() > self.deadline + INSISTING:
                self.note_let_go(key)
                del self.jobs[key]

    @staticmethod
    def end(job: dict[str, object]) -> bool:
        argv, environ = job["argv"], job["environ"]
        assert isinstance(argv, list)
        assert isinstance(environ, dict)
        try:
            done = subprocess.run(argv, input=str(job["given"]).encode(), env=environ, cwd="/", stdout=subprocess.DEVNULL, timeout=LIMIT)  # noqa: S603
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0

    def note_let_go(self, key: str) -> None:
        with suppress(OSError):
            (self.root / "let-go").mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.root / "let-go" / key).touch()
            (self.root / "held" / key).unlink()

    def node_lives(self) -> bool:
        return bool(self.raylet_began) and began(self.raylet) == self.raylet_began

    def is_somebody_beside(self) -> bool:
        """Whether a place of the same group, on another node of this machine, may go on."""
        folder, node = self.root / "places", node_of(self.place)
        for name in os.listdir(folder) if folder.is_dir() else ():
            until, _, group = read(folder / name).partition(" ")
            if not name.startswith(".") and node_of(name) != node and group == self.group and float(until or 0) > time.monotonic():
                return True
        return False


def node_of(place: str) -> str:
    """`kind:label:node:made`: the third."""
    return [*place.split(":"), "", "", ""][2]


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def began(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else 0


def main(root: str, place: str, group: str, raylet: str) -> None:
    if os.fork():  # not the supervisor's own child: what ends a worker may end its children with it
        os._exit(0)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: None)
    Guard(Path(root), place, group, int(raylet)).serve()


if __name__ == "__main__":
    main(*sys.argv[1:5])
