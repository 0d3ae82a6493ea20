"""The same shapes as bare Ray actor calls, with nothing kept and nothing recovered: what the machine can do at most.

Runs as a process of its own with a small cluster of its own: a workload's name and a number of items come in on a line,
its figures go out as JSON on another.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.workloads import CALLERS, COUNT, EXECUTIONS, REPEATS, Figures


class Work:
    """What the actor does."""

    def give(self, value: object) -> object:
        return value

    def now(self) -> float:
        return time.time()

    def run(self, command: list[str]) -> int:
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode


def measure(ray: Any, actor: Any, workload: str, items: int) -> Figures:
    """Run a workload's shape once, in its unit."""
    commands = {"W7": [sys.executable, "-c", "print(1)"], "W8": ["/bin/sh", "-c", "echo 1"]}
    whole: Mapping[str, Callable[[], float]] = {
        "W1": lambda: _seconds(lambda: [ray.get(actor.give.remote(number)) for number in range(COUNT)]),
        "W2": lambda: _seconds(lambda: ray.get([actor.give.remote(number) for number in range(COUNT)])),
        "W4": lambda: EXECUTIONS / _seconds(lambda: _by_callers(ray, actor)),
        "W6": lambda: items / _seconds(lambda: ray.get([actor.give.remote(str(number)) for number in range(items)])),
        "W7": lambda: _seconds(lambda: [ray.get(actor.run.remote(commands["W7"])) for _ in range(COUNT)]),
        "W8": lambda: _seconds(lambda: [ray.get(actor.run.remote(commands["W8"])) for _ in range(COUNT)]),
    }
    if workload in whole:
        return [whole[workload]()]
    if workload == "W5":
        return [(-time.time() + ray.get(actor.now.remote())) * 1000 for _ in range(REPEATS)]
    return [_seconds(lambda: ray.get(actor.give.remote("v"))) * 1000 for _ in range(REPEATS)]


def _by_callers(ray: Any, actor: Any) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda number: ray.get(actor.give.remote(number)), range(EXECUTIONS)))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Answer lines until there are none."""
    os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"})
    import ray

    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        ray.init(address="local", include_dashboard=False, _temp_dir=folder, log_to_driver=False, logging_level=logging.ERROR, namespace="bare")
        remote: Any = ray.remote(Work)
        actor = remote.options(num_cpus=0, max_concurrency=16).remote()
        ray.get(actor.give.remote("warm"))
        for line in sys.stdin:
            workload, items = line.split()
            print(json.dumps(measure(ray, actor, workload, int(items))), flush=True)
        ray.shutdown()


@contextmanager
def bare_ray() -> Iterator[Callable[[str, int], Figures]]:
    """A function that measures a workload on bare Ray, in the other process."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.bare_ray"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        told, heard = child.stdin, child.stdout

        def ask(workload: str, items: int) -> Figures:
            print(workload, items, file=told, flush=True)
            answer: Figures = json.loads(heard.readline())
            return answer

        yield ask
        told.close()


if __name__ == "__main__":
    main()
