"""What becomes of containers whose supervisor, node or machine the head has lost; the commands that end them here make a file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.runtime.guarding import PROGRAM, Guarding
from orchestrator.runtime.machine_notes import MachineNotes
from orchestrator.sdk import JobHandle
from orchestrator_plugins.process.runner import Process

PATIENCE = 20.0  # seconds
LEASE = 6.0  # seconds: a supervisor that dies within the first of them has died by itself


class Site:
    """Guards of one machine, each of one job, and the processes that stand for their nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, MachineNotes(folder / "notes")
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.guards: dict[str, subprocess.Popen[bytes]] = {}

    def guard(self, node: str, *, lease: float, group: str = "a") -> None:
        """A supervisor on a node watches the job `node`."""
        place = f"supervisor:{group}:{node}:1"
        self.nodes[node] = subprocess.Popen(["sleep", "300"])
        argv = [sys.executable, "-I", "-S", str(PROGRAM), str(self.notes.root), place, group, str(self.nodes[node].pid)]
        self.guards[node] = subprocess.Popen(argv, stdin=subprocess.PIPE)
        self.notes.hold(node, place)
        self.tell(node, lease=lease)
        self.tell(node, guard=node, argv=["/bin/sh", "-c", f"cat > {self.folder}/{node}"], environ={}, given=f"{node} is ended")

    def tell(self, node: str, **said: object) -> None:
        stdin = self.guards[node].stdin
        assert stdin is not None
        stdin.write(json.dumps(said).encode() + b"\n")
        stdin.flush()

    def supervisor_dies(self, node: str) -> None:
        stdin = self.guards[node].stdin
        assert stdin is not None
        stdin.close()

    def node_dies(self, node: str) -> None:
        self.nodes[node].kill()
        self.nodes[node].wait()

    def is_ended(self, node: str) -> bool:
        return (self.folder / node).exists()

    def close(self) -> None:
        for node, guard in self.guards.items():
            self.notes.release(node, f"supervisor:a:{node}:1")  # a guard leaves when its job is nobody's, or another's
            if guard.stdin is not None and not guard.stdin.closed:
                guard.stdin.close()
            self.node_dies(node)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_lost_machines_jobs_are_ended_by_itself_and_only_those_that_nobody_can_go_on_with(site: Site) -> None:
    began = time.monotonic()
    for node in ("node-lives", "node-lost", "taken-over"):
        site.guard(node, lease=LEASE)
        site.supervisor_dies(node)
    site.node_dies("node-lost")
    site.node_dies("taken-over")
    site.guard("cut-off", lease=0.5)
    site.guard("released", lease=0.5)
    site.tell("released", let_go="released")
    until(lambda: site.is_ended("cut-off"))
    assert time.monotonic() - began < LEASE  # at the end of its own lease
    site.notes.hold("taken-over", "supervisor:a:other:2")
    until(lambda: site.is_ended("node-lost"))
    assert time.monotonic() - began >= LEASE
    until(lambda: site.notes.take_let_go("node-lost"))
    assert (site.folder / "node-lost").read_text() == "node-lost is ended"
    assert [site.is_ended(node) for node in ("node-lives", "taken-over", "released")] == [False] * 3
    assert not site.notes.take_let_go("node-lives")


def test_another_place_of_the_group_on_this_machine_has_time_to_take_over(site: Site) -> None:
    site.notes.may_go_on("worker:a:near:1", "a", PATIENCE)
    site.guard("beside", lease=0.3)
    site.guard("alone", lease=0.3, group="b")
    until(lambda: site.is_ended("alone"))
    assert not site.is_ended("beside")
    site.notes.hold("beside", "supervisor:a:near:2")
    site.supervisor_dies("beside")


def test_a_job_that_any_machine_reaches_is_not_guarded(tmp_path: Path) -> None:
    notes = MachineNotes(tmp_path)
    guarding = Guarding(notes, place="supervisor:a:n:1", group="a", environ=dict, is_needed=True)
    guarding.hold(Process(), JobHandle(key="k", runner="r", backend="b"))
    guarding.release("k")
    assert not (tmp_path / "held").exists()
