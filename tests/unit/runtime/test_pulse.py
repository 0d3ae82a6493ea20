"""A place's lease: renewed while the head knows it, and ended by the watchdog beside it when nobody renews it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

from orchestrator.runtime.pulse import Pulse
from tests.unit.runtime.test_spawner import alive, gone_within

PROGRAM = """
    import sys, threading, time
    from orchestrator.runtime.spawner import Spawner
    spawner = Spawner()
    started = spawner.start(["sh", "-c", "setsid sleep 300 & echo $!; exec sleep 300"], cwd="/", env={"PATH": "/usr/bin:/bin"}, key="k")
    child = int(started.stdout.readline())
    print(spawner.pid, started.pid, child, flush=True)
    spawner.renew(float(sys.argv[1]))
    if sys.argv[2] == "renewing":
        while True:
            time.sleep(0.1)
            spawner.renew(float(sys.argv[1]))
    threading.Event().wait()
"""


def worker(lease: float, how: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A process with two commands under a lease; the pids of its spawner and commands."""
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(PROGRAM), str(lease), how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


def ends_within(process: subprocess.Popen[str], pids: list[int], seconds: float) -> bool:
    began = time.monotonic()
    process.wait(seconds)
    return gone_within(pids, max(0.1, seconds - (time.monotonic() - began)))


def test_an_expired_lease_ends_commands_and_worker() -> None:
    process, pids = worker(0.5, "once")
    began = time.monotonic()
    assert ends_within(process, pids, 5)
    assert time.monotonic() - began >= 0.4
    assert process.returncode == -signal.SIGKILL


def test_a_stopped_worker_cannot_overstay() -> None:
    process, pids = worker(1.0, "renewing")
    assert not gone_within(pids[:1], 2.0), "it lives as long as it renews"
    os.kill(process.pid, signal.SIGSTOP)
    assert ends_within(process, pids, 5)


def test_a_renewed_lease_lets_everything_be() -> None:
    process, pids = worker(0.5, "renewing")
    try:
        assert not gone_within(pids, 2.0)
        assert all(alive(pid) for pid in [*pids, process.pid])
    finally:
        process.kill()
        process.wait()
    assert gone_within(pids, 5)


def test_the_lease_counts_from_when_the_head_was_asked() -> None:
    renewed: list[float] = []
    asked, enough = threading.Event(), threading.Event()

    def known() -> bool:
        asked.wait(0.2)  # the head takes its time
        return True

    def renew(seconds_ago: float) -> None:
        renewed.append(seconds_ago)
        enough.set()

    beating = Pulse(known, renew).start()
    assert enough.wait(5)
    beating.stop()
    assert renewed[0] >= 0.2


def test_a_head_that_does_not_know_us_renews_nothing() -> None:
    answers, renewed, told = iter([True, False, False]), [0], threading.Event()

    def known() -> bool:
        answer = next(answers, None)
        if answer is None:
            told.set()
        return bool(answer)

    def renew(seconds_ago: float) -> None:
        renewed[0] += 1

    beating = Pulse(known, renew, every=0.01).start()
    assert told.wait(5)
    beating.stop()
    assert renewed == [1]
