"""The spawner: what it starts, what it says, and that nothing outlives its worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.errors import JobLost
from orchestrator.runtime.spawner import SpawnedProcess, Spawner

ENV = {"PATH": "/usr/bin:/bin"}
NOW = timedelta()
ESCAPE = (
    "setsid sh -c 'echo $$ >> pids; exec sleep 300' & (setsid sh -c 'echo $$ >> pids; exec sleep 300' &) ; "
    "sh -c 'echo $$ >> pids; sleep 300; true' & echo $$ >> pids; "
)


@pytest.fixture
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


def start(spawner: Spawner, *argv: str, cwd: str = "/", key: str = "k", env: dict[str, str] = ENV) -> SpawnedProcess:
    return spawner.start(argv, cwd=cwd, env=env, key=key)


def shell(spawner: Spawner, script: str, **more: str) -> SpawnedProcess:
    return start(spawner, "sh", "-c", script, **more)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def gone_within(pids: list[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.01)
    return True


def pids_in(folder: Path, count: int) -> list[int]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = (folder / "pids").read_text().split() if (folder / "pids").exists() else []
        if len(found) == count:
            return [int(pid) for pid in found]
        threading.Event().wait(0.01)
    raise AssertionError("the commands did not start")


def test_a_command_says_what_it_says_on_both_streams_and_ends_with_its_code(spawner: Spawner) -> None:
    process = shell(spawner, "echo out; echo err >&2; exit 7")
    assert (process.stdout.read(), process.stderr.read(), process.wait()) == (b"out\n", b"err\n", 7)


def test_a_command_that_a_signal_ends_has_128_and_its_number(spawner: Spawner) -> None:
    assert shell(spawner, "kill -9 $$").wait() == 137


def test_a_command_has_exactly_the_environment_given_and_its_marks(spawner: Spawner) -> None:
    process = start(spawner, "env", cwd="/tmp", key="mine", env={**ENV, "A": "1"})
    names = {line.split(b"=")[0] for line in process.stdout.read().splitlines()}
    assert names == {b"PATH", b"A", b"ORCHESTRATOR_RUN", b"ORCHESTRATOR_SPAWNER"}


STANDARD_SIGNALS = 2**31 - 1  # 1 to 31; 32 and 33 are the C library's own, and what `make` starts has them ignored


def test_a_command_leads_a_session_with_default_signals_no_input_and_a_raised_oom_score(spawner: Spawner) -> None:
    raised = "n=0; while [ $n -lt 2000 ] && [ $(cat /proc/self/oom_score_adj) = 0 ]; do n=$((n+1)); done"  # by the spawner, a moment after the start
    process = shell(spawner, f"cat; {raised}; cat /proc/self/oom_score_adj; grep -E 'SigBlk|SigIgn' /proc/self/status; ps -o sid= -p $$; nice")
    score, blocked, ignored, session, niceness = process.stdout.read().split(b"\n")[:5]
    assert (score, niceness) == (b"900", b"0")
    assert [int(mask.split()[1], 16) & STANDARD_SIGNALS for mask in (blocked, ignored)] == [0, 0]
    assert int(session) == process.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGTSTP])
def test_a_command_does_not_ignore_a_signal_because_a_shell_started_the_worker_in_its_background(number: signal.Signals) -> None:
    spawner, before = Spawner(), signal.signal(number, signal.SIG_IGN)
    try:
        ignored = shell(spawner, "grep SigIgn /proc/self/status").stdout.read()
    finally:
        signal.signal(number, before)
        spawner.close()
    assert int(ignored.split()[1], 16) & STANDARD_SIGNALS == 0


def test_a_command_inherits_no_file_of_others(spawner: Spawner) -> None:
    keep = [shell(spawner, "sleep 100", key="other") for _ in range(3)]
    process = shell(spawner, "ls /proc/self/fd | wc -l")
    assert int(process.stdout.read()) == 4  # 0, 1, 2 and the folder that ls reads
    keep[0].stop(NOW)


@pytest.mark.parametrize(
    ("argv", "cwd", "error"),
    [(["no-such-program"], "/", FileNotFoundError), (["/etc/passwd"], "/", PermissionError), (["true"], "/nowhere", FileNotFoundError)],
)
def test_what_cannot_be_started_says_so_as_exec_does(spawner: Spawner, argv: list[str], cwd: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        start(spawner, *argv, cwd=cwd)


def test_waiting_may_be_bounded(spawner: Spawner) -> None:
    process = start(spawner, "sleep", "100")
    with pytest.raises(TimeoutError):
        process.wait(0.01)
    process.stop(NOW)
    assert process.wait() == 137


def test_a_large_environment_and_argument_arrive_whole(spawner: Spawner) -> None:
    process = start(spawner, "sh", "-c", "echo ${#0} ${#B}", "x" * 100_000, env={**ENV, "B": "y" * 120_000})
    assert process.stdout.read() == b"100000 120000\n"


def test_200_commands_at_once_all_say_their_own_word(spawner: Spawner) -> None:
    said: dict[int, bytes] = {}

    def one(number: int) -> None:
        process = shell(spawner, f"echo {number}", key=f"k{number}")
        said[number] = process.stdout.read()
        process.stdout.close()
        process.stderr.close()
        assert process.wait() == 0

    threads = [threading.Thread(target=one, args=(number,)) for number in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert said == {number: b"%d\n" % number for number in range(200)}


def test_a_stop_asks_first(spawner: Spawner) -> None:
    process = shell(spawner, "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
    assert process.stdout.readline() == b"ready\n"
    process.stop(timedelta(seconds=20))
    assert (process.stdout.read(), process.wait()) == (b"asked\n", 3)


def test_a_stop_forces_what_does_not_listen_after_the_grace(spawner: Spawner) -> None:
    process = shell(spawner, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    process.stdout.readline()
    process.stop(timedelta(seconds=0.2))
    assert process.wait() == 137


def test_a_stop_reaches_grandchildren_and_those_that_left_the_session(spawner: Spawner, tmp_path: Path) -> None:
    process = shell(spawner, ESCAPE + "wait", cwd=str(tmp_path))
    pids = pids_in(tmp_path, 4)
    process.stop(timedelta(seconds=5))
    assert not any(alive(pid) for pid in pids)


def test_a_stop_reaches_what_a_command_left_behind_at_its_end(spawner: Spawner, tmp_path: Path) -> None:
    process = shell(spawner, ESCAPE, cwd=str(tmp_path))
    pids = pids_in(tmp_path, 4)
    process.wait()
    process.stop(NOW)
    assert not any(alive(pid) for pid in pids)


def test_what_hid_its_mark_goes_when_no_other_run_is_left(spawner: Spawner, tmp_path: Path) -> None:
    process = shell(spawner, "(env -i setsid sh -c 'echo $$ > pids; exec /bin/sleep 300' &)", cwd=str(tmp_path))
    pids = pids_in(tmp_path, 1)
    process.wait()
    process.stop(NOW)
    assert not any(alive(pid) for pid in pids)


def test_a_stop_leaves_the_commands_of_others_alone(spawner: Spawner) -> None:
    mine, other = start(spawner, "sleep", "100", key="a"), start(spawner, "sleep", "100", key="b")
    mine.stop(NOW)
    assert alive(other.pid)
    other.stop(NOW)


def test_a_stop_may_be_repeated(spawner: Spawner) -> None:
    process = start(spawner, "sleep", "100")
    process.stop(NOW)
    process.stop(NOW)
    spawner.stop("never-started", NOW)


def test_a_killed_spawner_is_replaced_and_its_commands_are_lost_and_gone(spawner: Spawner, tmp_path: Path) -> None:
    process = shell(spawner, ESCAPE + "wait", cwd=str(tmp_path))
    pids = pids_in(tmp_path, 4)
    os.kill(spawner.pid, signal.SIGKILL)
    with pytest.raises(JobLost):
        process.wait(20)
    assert start(spawner, "true").wait() == 0
    assert gone_within(pids, 1.0)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_worker_dies_nothing_it_started_lives_on(number: int, tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import sys
        from orchestrator.runtime.spawner import Spawner
        Spawner().start(["sh", "-c", {ESCAPE + "wait"!r}], cwd={str(tmp_path)!r}, env={ENV!r}, key="k")
        sys.stdin.read()
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    pids = pids_in(tmp_path, 4)
    worker.send_signal(number)
    worker.wait()
    assert gone_within(pids, 1.0)


def test_the_spawner_is_small_and_leaves_with_its_worker() -> None:
    spawner = Spawner()
    pid = spawner.pid
    resident = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 20_000  # KiB
    spawner.close()
    assert gone_within([pid], 5.0)


BREEDS = """
import os, sys, time
for _ in range(4):  # each ends at once and leaves a child of its own, that nobody waits for
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(sys.argv[1], "a") as file:
                file.write(f"{os.getpid()}\\n")
            os.closerange(1, 3)
            time.sleep(60)
        os._exit(0)
"""


def test_what_dying_processes_leave_behind_is_gone_too_when_a_stop_returns(spawner: Spawner, tmp_path: Path) -> None:
    other = start(spawner, "sleep", "300", key="other")
    for number in range(60):
        pids, key = tmp_path / f"pids{number}", f"k{number}"
        start(spawner, sys.executable, "-S", "-c", BREEDS, str(pids), key=key).wait()
        spawner.stop(key, NOW)
        assert not [pid for pid in (pids.read_text().split() if pids.exists() else ()) if alive(int(pid))]
    other.stop(NOW)
