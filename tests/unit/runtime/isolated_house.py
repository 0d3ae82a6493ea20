"""A worker whose tasks run in child processes, and looks at those from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.unit.runtime.isolated_tasks import TASKS, recipe
from tests.unit.runtime.worker_house import PATIENCE, House


@contextmanager
def isolated_house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base", TASKS, slots=64, isolated_by=recipe(tmp_path / "base"))
    try:
        yield made
    finally:
        made.worker.close()


def run(house: House, what: str, name: str = "r1", *, facts: dict[str, Any] | None = None, **properties: Any) -> None:
    house.run({"type": "test.Isolated", "what": what, **properties}, name, **(facts or {}))


def done(house: House, what: str, **more: Any) -> dict[str, Any]:
    run(house, what, **more)
    return house.executor.outcome()


def until(holds: Callable[[], Any], within: float = PATIENCE) -> Any:
    deadline = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
    return found


def pids_in(path: Path, count: int = 1) -> list[int]:
    found: list[int] = until(lambda: path.exists() and len(path.read_text().split()) >= count and [int(pid) for pid in path.read_text().split()])
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def zygote_of(pid: int) -> psutil.Process:
    """The process that a child was forked from: a sister of it, below the same spawner."""
    spawner = psutil.Process(pid).parent()
    assert spawner is not None
    (found,) = [one for one in spawner.children() if one.pid != pid and "runtime.zygote" in " ".join(one.cmdline()) and one.name() != "isolated"]
    return found


def killed(house: House, name: str = "r1", *, cause: str = "KILLED") -> tuple[dict[str, Any], float]:
    began = time.monotonic()
    house.stop(name, cause=cause)
    outcome = house.executor.outcome(name)
    return outcome, time.monotonic() - began
