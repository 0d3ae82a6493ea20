"""Script tasks on a real worker: commands as processes of this machine, from dispatch to outcome."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from tests.unit.runtime.worker_house import PATIENCE, House, dispatch

PROCESS = {"type": "io.kestra.plugin.core.runner.Process"}
SHELL = "io.kestra.plugin.scripts.shell.Commands"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base")
    yield made
    made.worker.close()


def script(*commands: str, **more: object) -> dict[str, object]:
    return {"type": SHELL, "taskRunner": PROCESS, "commands": list(commands), **more}


def read_when_there(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        Event().wait(0.01)
    return path.read_text()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_commands_log_give_outputs_and_leave_nothing(house: House, tmp_path: Path) -> None:
    house.run(
        script("echo hello {{ inputs.name }}", """echo '::{"outputs":{"n":5}}::'""", "echo last", warningOnStdErr=False), context={"inputs": {"name": "you"}}
    )
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["outputs"]["vars"], outcome["outputs"]["exitCode"]) == ("SUCCESS", {"n": 5}, 0)
    assert [message for level, message in house.executor.lines() if level == "INFO"] == ["hello you", "last"]
    assert house.executor.offsets() == sorted(house.executor.offsets())
    house.until_idle()
    assert list((tmp_path / "base" / "work").iterdir()) == []
    assert house.executor.of("job") == []  # it cannot be found again: nothing to save


def test_a_failing_command_fails_with_its_exit_code(house: House) -> None:
    house.run(script("echo seen", "exit 3"))
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"], outcome["outputs"]["exitCode"]) == ("FAILED", "EXIT_CODE", 3)


def test_a_command_that_does_not_exist_fails_the_start(house: House) -> None:
    house.run(script("x", interpreter=["/no/such/shell", "-c"]))
    assert house.executor.outcome()["cause"] == "START_FAILED"


def test_a_kill_ends_all_processes_before_it_is_told(house: House, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    house.run(script(f"(setsid sleep 300 & echo $! > {pids}.part; mv {pids}.part {pids}); sleep 300"))
    pid = int(read_when_there(pids))
    began = time.monotonic()
    house.stop()
    assert house.executor.outcome()["state"] == "KILLED"
    assert time.monotonic() - began < 3
    assert not alive(pid)


def test_what_a_finished_command_left_running_is_gone_before_its_outcome(house: House, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    house.run(script(f"setsid sleep 300 > /dev/null 2>&1 & echo $! > {pids}"))
    assert house.executor.outcome()["state"] == "SUCCESS"
    assert not alive(int(pids.read_text()))


def test_a_timeout_ends_the_command(house: House) -> None:
    house.run(script("sleep 300"), timeout=0.3)
    outcome = house.executor.outcome()
    assert (outcome["state"], outcome["cause"]) == ("FAILED", "TIMEOUT")


def test_a_killed_worker_takes_its_commands_with_it(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    text = dispatch(script(f"setsid sleep 300 & echo $! > {pids}; sleep 300"))
    program = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from orchestrator.runtime.local_services import LocalServices
        from orchestrator.runtime.worker import Worker
        base = Path({str(tmp_path / "own")!r})
        worker = Worker(name="w", slots=1, send=lambda text: None, services=lambda dispatch: LocalServices(), base=base, installation="i")
        worker.run({text!r})
        sys.stdin.read()
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    pid = int(read_when_there(pids))
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    deadline = time.monotonic() + 1.0
    while alive(pid) and time.monotonic() < deadline:
        Event().wait(0.01)
    assert not alive(pid)
