"""The failures that worker groups outlast, brought about with real processes: what is killed, stopped or cut, and what is seen.

Each scenario gives the seconds that its bound is about. Every task run writes the time into a file of its process ten times a
second, so that it can be told whether two of its processes ever ran at once, and whether anything ran after it was killed.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from orchestrator.runtime import ray_processes
from tests.integration.far_machine import FarMachine, far_machine
from tests.integration.local_server import LocalServer, eventually, joined_worker, local_server, mark_of_node

TOKEN = "failure-table"
BEAT = 0.1
FLOW = """
id: {id}
namespace: failing
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    placement: [{{workerGroup: '{group}'}}, {{workerGroup: ''}}]  # lost there, it begins again on the server's own worker
    commands:
      - |
        f={folder}/{{{{ taskrun.id }}}}.$$
        while [ ! -e {folder}.enough ]; do date +%s.%N >> $f; sleep {beat}; done
        echo done >> $f
"""


class Scene:
    """A server that other machines can reach, with a folder that all of them see for what their tasks write."""

    def __init__(self, server: LocalServer, folder: Path) -> None:
        self.server, self.folder, self._stack, self._count = server, folder, ExitStack(), 0

    def bring_about(self, name: str) -> float:
        """Play a scenario; the workers and machines that it made are ended with it."""
        self._count += 1
        with self._stack:
            return SCENARIOS[name][0](self)

    def worker(self, group: str, machine: FarMachine | None = None, slots: int = 8) -> Joined:
        """One more worker of a group, joined, here or on a far machine; ended with the scenario."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        url = f"http://{machine.gateway}:{self.server.port}" if machine is not None else None
        wrap = machine.wrap if machine is not None else ()
        before = set(self.up(group))
        process = self._stack.enter_context(joined_worker(self.server, group, folder, slots=slots, wrap=wrap, url=url))
        name = eventually(lambda: next(iter(set(self.up(group)) - before), None), within=60, what=f"one more worker of {group} is up")
        return Joined(process, name, mark_of_node(self.up(group)[name]))

    def settled(self) -> bool:
        """Whether the server is well and has no worker but its own; those that are shown as lost do not count."""
        try:
            there = [one for one in self.server.call("GET", "/api/v1/workers")["workers"] if one["state"] != "lost"]
            return self.server.healthy() and [(one["group"], one["state"]) for one in there] == [("", "up")]
        except OSError:
            return False

    def up(self, group: str) -> dict[str, str]:
        """The workers of a group that are up: by name, the ids of their nodes."""
        told = self.server.call("GET", "/api/v1/workers")["workers"]
        return {one["name"]: one["nodeId"] for one in told if one["group"] == group and one["state"] == "up"}

    def machine(self) -> FarMachine:
        return self._stack.enter_context(far_machine())

    def begin(self, name: str, count: int, *, group: str) -> Work:
        """Executions that all are at work, until they are let end."""
        folder = self.folder / f"{name}-{self._count}"
        folder.mkdir()
        flow = self.server.flow(FLOW.format(id=folder.name, folder=folder, group=group, beat=BEAT))
        ids = [self.server.execute(flow)["id"] for _ in range(count)]
        work = Work(self.server, folder, ids)
        # A moment in each file, not a file alone: the first `date` of a process may outlive by a tenth what is killed here,
        # and would be taken for a process that has begun again.
        eventually(lambda: len(work.processes()) == count, within=60, what="all tasks have begun")
        return work


@dataclass
class Process:
    """What one process of a task run wrote: when it lived, and whether it came to its end."""

    run: str
    first: float
    last: float
    done: bool


class Work:
    """Executions of one scenario, and what their tasks wrote."""

    def __init__(self, server: LocalServer, folder: Path, ids: list[str]) -> None:
        self.server, self.folder, self.ids = server, folder, ids

    def processes(self) -> list[Process]:
        found = []
        for path in self.folder.iterdir():
            lines = path.read_text().split()
            moments = [float(line) for line in lines if line != "done"]
            if moments:
                found.append(Process(path.name.rpartition(".")[0], moments[0], moments[-1], "done" in lines))
        return sorted(found, key=lambda one: one.first)

    def begun_again(self, after: float, count: int, within: float) -> float:
        """Seconds from a moment until `count` further processes had begun."""
        eventually(lambda: sum(one.first > after for one in self.processes()) >= count, within=within, what=f"{count} tasks have begun again")
        return sorted(one.first for one in self.processes() if one.first > after)[count - 1] - after

    def check(self, *, processes: int | None = None, within: float = 120) -> None:
        """Let them end. All end well, each task once, never two of its processes at once; `processes`: how many there were in all."""
        self.folder.with_name(self.folder.name + ".enough").touch()
        for execution_id in self.ids:
            ended = self.server.ended(execution_id, within)
            assert ended["state"]["current"] == "SUCCESS", self.server.logs(execution_id)
        found = self.processes()
        for run in {one.run for one in found}:
            own = [one for one in found if one.run == run]
            assert sum(one.done for one in own) == 1, own
            assert all(before.last < after.first for before, after in pairwise(own)), f"two at once: {own}"
        if processes is not None:
            assert len(found) == processes, found


# --- the scenarios


def a_task_crashes(scene: Scene) -> float:
    """Its process dies of a signal: the run fails with that, and the worker lives on."""
    beside = scene.begin("beside", 1, group="")
    flow = scene.server.flow(
        f"id: crash-{time.time_ns()}\nnamespace: failing\ntasks:\n  - id: work\n    type: io.kestra.plugin.scripts.shell.Commands\n"
        "    taskRunner: {type: io.kestra.plugin.core.runner.Process}\n    commands: ['kill -SEGV $$']\n"
    )
    began = time.time()
    ended = scene.server.ended(scene.server.execute(flow)["id"], 30)
    seconds = time.time() - began
    assert (ended["state"]["current"], ended["taskRunList"][0]["outputs"]["exitCode"]) == ("FAILED", 139)
    beside.check(processes=1)
    return seconds


def _lost(scene: Scene, name: str, fail: Callable[[Joined], object]) -> float:
    """Four runs on a worker to which something happens: each begins again elsewhere, once, and no attempt of the user's is spent."""
    worker = scene.worker(name)
    work = scene.begin(name, 4, group=name)
    failed = time.time()
    fail(worker)
    seconds = work.begun_again(failed, 4, within=40)
    work.check(processes=8)
    for execution_id in work.ids:
        run = scene.server.execution(execution_id)["taskRunList"][0]
        assert (run["lostWorkers"], run["generation"], len(run["attempts"])) == (1, 0, 1)
        assert any("WORKER_LOST" in line for line in scene.server.logs(execution_id))
    return seconds


def the_worker_process_dies(scene: Scene) -> float:
    return _lost(scene, "dies", lambda worker: worker.actor.send_signal(signal.SIGKILL))


def the_worker_process_stops(scene: Scene) -> float:
    """The watchdog beside it ends what it runs, and it."""
    return _lost(scene, "stops", lambda worker: worker.actor.send_signal(signal.SIGSTOP))


def the_raylet_dies(scene: Scene) -> float:
    """The node is lost although its machine is not."""
    return _lost(scene, "raylet", lambda worker: worker.raylet.send_signal(signal.SIGKILL))


def the_machine_is_cut_off(scene: Scene) -> float:
    """The cable is pulled: the far side ends its runs by its own clock, and only then they begin again here. One that is
    killed meanwhile is shown as KILLED when it is surely gone, and nothing of it runs or starts afterwards, cable mended or not."""
    machine = scene.machine()
    scene.worker("cut", machine)
    work, killed = scene.begin("cut", 4, group="cut"), scene.begin("killed", 2, group="cut")
    cut = time.time()
    machine.cut()
    for execution_id in killed.ids:
        scene.server.call("DELETE", f"/api/v1/executions/{execution_id}/kill")
    seconds = work.begun_again(cut, 4, within=60)
    for execution_id in killed.ids:
        assert scene.server.ended(execution_id, 40)["state"]["current"] == "KILLED"
    shown = time.time()
    machine.mend()
    work.check(processes=8)
    eventually(lambda: time.time() > shown + 3, within=5, what="three seconds in which nothing may happen")
    assert all(one.last < shown for one in killed.processes()), "something ran after KILLED was shown"
    assert len(killed.processes()) == 2
    return max(seconds, shown - cut)


def the_executor_dies(scene: Scene) -> float:
    """Nothing is repeated. The seconds until an execution can be started again."""
    work = scene.begin("engine", 6, group="")
    killed = time.time()
    scene.server.kill("ExecutorActor")
    flow = scene.server.flow(f"id: after-{time.time_ns()}\nnamespace: failing\ntasks:\n  - {{id: r, type: core.debug.Return, format: x}}\n")
    scene.server.execute(flow, wait=True)
    seconds = time.time() - killed
    work.check(processes=6)
    return seconds


def the_api_dies(scene: Scene) -> float:
    """Nothing is repeated. The seconds until it answers again."""
    work = scene.begin("api", 6, group="")
    killed = time.time()
    scene.server.kill("ApiActor")
    eventually(scene.server.healthy, within=60, what="the API answers")
    seconds = time.time() - killed
    work.check(processes=6)
    return seconds


SCENARIOS: Mapping[str, tuple[Callable[[Scene], float], float | None]] = {
    "a task's process crashes": (a_task_crashes, None),
    "the worker process dies": (the_worker_process_dies, 3.0),
    "the worker process is stopped": (the_worker_process_stops, 15.0),
    "the node is lost": (the_raylet_dies, 15.0),
    "the machine is cut off": (the_machine_is_cut_off, 15.0),
    "the executor dies": (the_executor_dies, None),
    "the API dies": (the_api_dies, None),
}


@contextmanager
def scenes(folder: Path) -> Iterator[Scene]:
    """A scene on a passing folder."""
    environ = {"ORCHESTRATOR_HOST": "0.0.0.0"}
    with local_server(folder, environ=environ, token=TOKEN) as server:
        yield Scene(server, folder)


# --- processes


@dataclass(frozen=True)
class Joined:
    """A worker that a `server worker` has started, by the mark that all processes of its node carry."""

    process: subprocess.Popen[bytes]
    name: str
    mark: str

    @property
    def actor(self) -> psutil.Process:
        return next(process for process in ray_processes.marked(self.mark) if _is_worker(process))

    @property
    def raylet(self) -> psutil.Process:
        found = ray_processes.named(ray_processes.marked(self.mark), "raylet")
        assert found is not None
        return found


def _is_worker(process: psutil.Process) -> bool:
    try:
        title = process.cmdline()[0]
    except (psutil.Error, IndexError):
        return False
    return title.startswith("ray::") and not title.startswith(("ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::IDLE", "ray::Supervisor"))
