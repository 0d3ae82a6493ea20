"""What a child process of its own costs a run: `python -m benchmarks.isolation [RUNS]`.

Prints the time from a dispatch to its outcome of runs in threads and in child processes, by turns; the memory of children
that live together (PSS); and how long many at once take. One worker in this process, no server and no Ray.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from benchmarks.memory import pss_mib
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.runtime.isolation import Recipe
from orchestrator.runtime.local_services import LocalServices
from orchestrator.runtime.node import Node
from orchestrator.runtime.task_work import Means
from orchestrator.runtime.worker import Worker
from orchestrator.sdk import Json, RunContext, Task

AT_ONCE = 64
PATIENCE = 60.0  # seconds


class InThread(Task):
    """Tells who it is; waits for a stop when asked to."""

    waits: bool = False

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        ctx.logger.info(Path("/proc/self").resolve().name)
        if self.waits:
            stopped = threading.Event()
            ctx.on_stop(stopped.set)
            stopped.wait(PATIENCE)
        return {}


class InChild(InThread):
    """The same, in a child process."""

    isolated: ClassVar[bool] = True


TASKS = {"thread": InThread, "child": InChild}


def means_of(given: Mapping[str, Json]) -> Means:
    services = LocalServices()
    return Means("bench", lambda dispatch: services, Node(Path(given["base"])), BuiltTasks(lambda kind, name: TASKS[name]), "auto", lambda: False)


class Bench:
    """A worker, and what it has reported."""

    def __init__(self, base: Path) -> None:
        self._change = threading.Condition()
        self.ended: set[str] = set()
        self.pids: dict[str, int] = {}
        means = means_of({"base": str(base)})
        recipe = Recipe(f"{__spec__.name if __spec__ else __name__}:means_of", {"base": str(base)})
        shared = {"name": "bench", "installation": "bench", "base": base, "tasks": means.tasks, "isolated_by": recipe}
        self.worker = Worker(slots=AT_ONCE, send=self._take, services=means.services, **shared)  # type: ignore[arg-type]

    def _take(self, text: str) -> None:
        with self._change:
            for report in json.loads(text):
                if report["kind"] == "outcome":
                    self.ended.add(report["task_run_id"])
                for line in report.get("lines", ()):
                    self.pids[report["task_run_id"]] = int(line["message"])
            self._change.notify_all()

    def begin(self, kind: str, run: str, **properties: Json) -> None:
        about = {"namespace": "n", "flow_id": "f", "flow_revision": 1, "task_id": "t", "lease": 1, "generation": 0}
        self.worker.run(json.dumps({"task_run_id": run, "execution_id": "e", **about, "spec": {"id": "t", "type": kind, **properties}}))

    def until_ended(self, runs: Sequence[str]) -> None:
        with self._change:
            assert self._change.wait_for(lambda: self.ended.issuperset(runs), PATIENCE)

    def until_begun(self, runs: Sequence[str]) -> None:
        with self._change:
            assert self._change.wait_for(lambda: set(runs) <= set(self.pids), PATIENCE)

    def stop(self, runs: Sequence[str]) -> None:
        self.worker.stop(json.dumps([{"task_run_id": run, "execution_id": "e", "lease": 1} for run in runs]))


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as folder:
        made = Bench(Path(folder) / "base")
        try:
            yield made
        finally:
            made.worker.close()


def latencies(bench: Bench, runs: int) -> dict[str, list[float]]:
    """Milliseconds of each run, in threads and in children by turns."""
    found: dict[str, list[float]] = {"thread": [], "child": []}
    for number in range(runs):
        for kind, taken in found.items():
            began = time.perf_counter()
            bench.begin(kind, f"{kind}-{number}")
            bench.until_ended([f"{kind}-{number}"])
            taken.append((time.perf_counter() - began) * 1000)
    return found


def at_once(bench: Bench, kind: str) -> float:
    """Milliseconds until as many runs as there are slots have ended, all begun together."""
    runs = [f"{kind}-at-once-{number}" for number in range(AT_ONCE)]
    began = time.perf_counter()
    for run in runs:
        bench.begin(kind, run)
    bench.until_ended(runs)
    return (time.perf_counter() - began) * 1000


def held(bench: Bench) -> list[float]:
    """MiB of each of many children that live together."""
    runs = [f"held-{number}" for number in range(AT_ONCE)]
    for run in runs:
        bench.begin("child", run, waits=True)
    bench.until_begun(runs)
    memory = [pss_mib(Path(f"/proc/{bench.pids[run]}")) for run in runs]
    began = time.perf_counter()
    bench.stop(runs)
    bench.until_ended(runs)
    print(f"all {AT_ONCE} stopped in {(time.perf_counter() - began) * 1000:.0f} ms")
    return memory


def main() -> None:
    with bench() as made:
        began = time.perf_counter()
        made.begin("child", "first")
        made.until_ended(["first"])
        print(f"the first of all, with the start of what the others are forked from: {(time.perf_counter() - began) * 1000:.0f} ms")
        found = latencies(made, int(sys.argv[1]) if len(sys.argv) > 1 else 200)
        for kind, taken in found.items():
            print(f"{kind:>6}: p50 {statistics.median(taken):.1f} ms, p99 {statistics.quantiles(taken, n=100)[98]:.1f} ms")
        for kind in found:
            print(f"{AT_ONCE} at once, {kind}: {at_once(made, kind):.0f} ms")
        memory = held(made)
        print(f"memory of one of {AT_ONCE} children that live together: {statistics.median(memory):.1f} MiB (PSS)")


if __name__ == "__main__":
    main()
