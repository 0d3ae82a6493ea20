"""What worker groups promise, measured as their users would: `make bench-groups`, or

    python -m benchmarks.worker_groups [--only latency,kinds,queue,fairness,memory] [--runs 1000] [--record]

A server and workers of three groups are started on passing folders, each worker as a node of its own. Times are those the
tasks tell themselves, and the moment at which the engine had a run ready: one machine, one clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.run import RESULTS, machine
from orchestrator.runtime import ray_processes
from tests.conftest import docker_answers
from tests.integration.local_server import LocalServer, eventually, joined_worker, local_server, mark_of_node

NOW = "{{ now() | timestampNano }}"
TELL = f'{{id: tell, type: core.debug.Return, format: "{NOW}"'
IMAGE = "test/python"
_SCRIPT = """type: scripts.shell.Commands, commands: ['echo "::{\\"outputs\\":{\\"at\\":$(date +%s%3N)}}::"'],"""
Figures = dict[str, float]
MARKS: Mapping[str, tuple[str, float]] = {  # what is asked of each figure, and its bound
    "latency p50, ms": ("<=", 5.0),
    "latency p99, ms": ("<=", 25.0),
    "next of 5000 queued, times a chain's": ("<=", 2.0),
    "other group beside 5000 queued, times alone": ("<=", 2.0),
    "gap p95 under a flood, times the control's": ("<=", 1.2),
    "64 blocking runs, MiB above idle": ("<=", 250.0),
}


def main() -> int:
    """1 when a mark is missed."""
    options = _options()
    figures: Figures = {}
    with houses() as house:
        for name in options.only.split(","):
            for figure, value in MEASURES[name](house, options.runs).items():
                figures[figure] = value
                print(row(figure, value), flush=True)
    if options.record:
        _record(figures)
    return int(any(not meets(name, value) for name, value in figures.items()))


class House:
    """A server with workers of the groups `a`, `b` (8 slots each), `one` (a single slot) and `wide` (64 slots)."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server
        self._flows: dict[str, tuple[str, str]] = {}

    def run(self, tasks: str, *, name: str, wait: bool = True, within: float = 600.0) -> Any:
        if name not in self._flows:
            self._flows[name] = self.server.flow(f"id: {name}\nnamespace: bench.groups\ntasks:\n{tasks}")
        begun = self.server.execute(self._flows[name])
        return self.server.ended(begun["id"], within) if wait else begun

    def until_at_work(self, executions: Sequence[str]) -> None:
        """Return once each has begun a task. Raises AssertionError after a minute."""
        for one in executions:
            eventually(partial(self._is_at_work, one), within=60, what=f"{one} has begun a task")

    def _is_at_work(self, execution: str) -> bool:
        return any(run.get("attempts") for run in self.server.execution(execution)["taskRunList"])


@contextmanager
def houses() -> Iterator[House]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orch-bench-")))
        server = stack.enter_context(local_server(folder))
        for group, slots in (("a", 8), ("b", 8), ("one", 1), ("wide", 64)):
            stack.enter_context(joined_worker(server, group, folder, slots=slots))
        yield House(server)


# --- latency


def loop(group: str, items: int, *, limit: int) -> str:
    return (
        f'  - id: each\n    type: core.flow.ForEach\n    concurrencyLimit: {limit}\n    values: "{{{{ range(1, {items}) }}}}"\n'
        f"    tasks:\n      - {TELL}, workerGroup: {{key: {group}}}}}\n"
    )


def told(run: Mapping[str, Any]) -> float:
    """When the task's code told the time, in seconds since 1970."""
    digits = str(run["outputs"]["value"])
    return int(digits) / 1e9


def ready(run: Mapping[str, Any]) -> float:
    """When the engine had the run ready."""
    return datetime.fromisoformat(run["phases"][0]["at"]).timestamp()


def latencies(execution: Mapping[str, Any]) -> list[float]:
    """Milliseconds from ready to the task's code, of every run in order."""
    return [(told(run) - ready(run)) * 1000 for run in execution["taskRunList"] if run["taskId"] == "tell"]


def latency(house: House, runs: int) -> Figures:
    """One run after another on a live group, three groups up."""
    house.run(loop("a", 100, limit=1), name="warm")
    found = latencies(house.run(loop("a", runs, limit=1), name="latency"))
    assert len(found) == runs
    return {"latency p50, ms": statistics.median(found), "latency p99, ms": quantile(found, 0.99)}


# --- the other ways to run on a group, and the other half

KINDS: Mapping[str, tuple[str, int]] = {  # what a task of each kind is, telling the time as its first act; how many of them
    "isolated": (
        "type: jdbc.sqlite.Query, url: 'jdbc:sqlite::memory:', fetchType: FETCH_ONE,"
        " sql: \"SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS at\", workerGroup: {key: a}",
        100,
    ),
    "process": (f"{_SCRIPT} taskRunner: {{type: core.runner.Process}}, workerGroup: {{key: a}}", 100),
    "resources": (f"{_SCRIPT} taskRunner: {{type: core.runner.Process}}, workerGroup: {{key: a}}, resources: {{cpu: 0.1}}", 20),
    "docker": (f"{_SCRIPT} containerImage: {IMAGE}, taskRunner: {{type: scripts.runner.docker.Docker, pullPolicy: NEVER}}", 20),
}


def kinds(house: House, runs: int) -> Figures:
    """From ready to the first act of the task's own code, one run after another, for each kind of task; Docker where an engine answers."""
    figures: Figures = {}
    for kind, (task, times) in KINDS.items():
        if kind == "docker" and not docker_answers():
            continue
        each = f'  - id: each\n    type: core.flow.ForEach\n    concurrencyLimit: 1\n    values: "{{{{ range(1, {times}) }}}}"\n'
        done = house.run(f"{each}    tasks:\n      - {{id: tell, {task}}}\n", name=kind)
        found = [_wait(run) for run in done["taskRunList"] if run["taskId"] == "tell"]
        figures |= {f"{kind}: ready to code p50, ms": statistics.median(found), f"{kind}: ready to code p99, ms": quantile(found, 0.99)}
    return figures


def _wait(run: Mapping[str, Any]) -> float:
    """Milliseconds from ready to the moment that the task's own code told."""
    outputs = run["outputs"]
    at = outputs["row"]["at"] if "row" in outputs else outputs["vars"]["at"]
    return float(at) - ready(run) * 1000


# --- a long line


def gaps(execution: Mapping[str, Any]) -> list[float]:
    """Milliseconds between the code of one run and the next, in the order in which they told the time."""
    moments = sorted(told(run) for run in execution["taskRunList"] if run["taskId"] == "tell")
    return [(after - before) * 1000 for before, after in pairwise(moments)]


def queue(house: House, runs: int) -> Figures:
    """The next run of a line of 5000 against the next of a chain; and another group beside such a line."""
    chain = gaps(house.run(loop("one", 500, limit=1), name="chain"))
    alone = latencies(house.run(loop("b", 300, limit=1), name="alone"))
    line = house.run(loop("one", 5000, limit=0), name="line", wait=False)
    house.server.call("GET", f"/api/v1/executions/{line['id']}/explain")  # answered once all of it is in line
    beside = latencies(house.run(loop("b", 300, limit=1), name="beside"))
    long = gaps(house.server.ended(line["id"], 600))[100:1100]
    return {
        "next of 5000 queued, times a chain's": statistics.median(long) / statistics.median(chain),
        "other group beside 5000 queued, times alone": statistics.median(beside) / statistics.median(alone),
    }


# --- fairness


def fairness(house: House, runs: int) -> Figures:
    """Ten executions at work on one group, without and with a flood of 1000 new ones there."""
    steps = "".join(f"  - {{id: s{at}, type: core.flow.Sleep, duration: PT0.2S, workerGroup: {{key: a}}}}\n" for at in range(20))
    short = "  - {id: x, type: core.flow.Sleep, duration: PT0.05S, workerGroup: {key: a}}\n"
    flood = house.server.flow(f"id: flood\nnamespace: bench.flood\ntasks:\n{short}")

    def at_work() -> list[float]:
        begun = [house.run(steps, name="steady", wait=False) for _ in range(10)]
        house.until_at_work([one["id"] for one in begun])
        return [gap for one in begun for gap in _waits(house.server.ended(one["id"], 120))]

    control = at_work()
    begun = [house.run(steps, name="steady", wait=False) for _ in range(10)]
    house.until_at_work([one["id"] for one in begun])
    flooded = [house.server.execute(flood)["id"] for _ in range(1000)]
    found = [gap for one in begun for gap in _waits(house.server.ended(one["id"], 300))]
    for one in flooded:
        house.server.ended(one, 300)
    return {
        "gap p95 in the control, ms": quantile(control, 0.95),
        "gap p95 under a flood, ms": quantile(found, 0.95),
        "gap p95 under a flood, times the control's": quantile(found, 0.95) / quantile(control, 0.95),
    }


def _waits(execution: Mapping[str, Any]) -> list[float]:
    """Milliseconds from the start of one task's code to the start of the next."""
    starts = [datetime.fromisoformat(run["attempts"][0]["state"]["startDate"]).timestamp() for run in execution["taskRunList"]]
    return [(after - before) * 1000 for before, after in pairwise(starts)]


# --- memory


def memory(house: House, runs: int) -> Figures:
    """64 commands that block on one worker: what the worker and its spawner hold above an idle one."""
    block = '  - {id: b, type: scripts.shell.Commands, taskRunner: {type: core.runner.Process}, commands: ["sleep %d"], workerGroup: {key: wide}}\n'
    house.run(block % 0, name="first")
    before = _held(house.server)
    flow = house.server.flow("id: many\nnamespace: bench.groups\ntasks:\n" + block % 30)
    begun = [house.server.execute(flow)["id"] for _ in range(64)]
    house.until_at_work(begun)
    held = _held(house.server)
    for one in begun:
        house.server.call("DELETE", f"/api/v1/executions/{one}/kill")
    for one in begun:
        house.server.ended(one, 60)
    return {"64 blocking runs, MiB above idle": held - before}


def _held(server: LocalServer) -> float:
    """MiB of the worker of `wide` and its spawner, the commands themselves left out (PSS)."""
    worker = next(one for one in server.call("GET", "/api/v1/workers")["workers"] if one["group"] == "wide")
    total = 0.0
    for process in ray_processes.marked(mark_of_node(worker["nodeId"])):
        try:
            words = process.cmdline()
            if words and words[0].startswith("ray::") and not words[0].startswith(("ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::IDLE")):
                total += process.memory_full_info().pss
        except (psutil.Error, OSError):
            continue
    return total / 2**20


# --- figures


def quantile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def meets(name: str, value: float) -> bool:
    """Whether a figure meets its mark; one without a mark does."""
    return name not in MARKS or value <= MARKS[name][1]


def row(name: str, value: float) -> str:
    how, bound = MARKS.get(name, ("", 0.0))
    return f"| {name} | {value:.3g} | {f'{how} {bound:g}' if how else ''} |"


MEASURES: Mapping[str, Callable[[House, int], Figures]] = {"latency": latency, "kinds": kinds, "queue": queue, "fairness": fairness, "memory": memory}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(MEASURES))
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--record", action="store_true", help="add the table to RESULTS.md")
    return parser.parse_args()


def _record(figures: Figures) -> None:
    head = f"\n## {datetime.now(UTC):%Y-%m-%d}, worker groups: {machine()}\n"
    with RESULTS.open("a") as file:
        file.write(f"{head}\n| figure | measured | mark |\n| --- | ---: | ---: |\n" + "\n".join(row(*one) for one in figures.items()) + "\n")


if __name__ == "__main__":
    sys.exit(main())
