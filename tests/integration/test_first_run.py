"""The first run on an empty machine starts a server and says so, later ones use it, and whatever ends it leaves nothing."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.local_server import ORCHESTRATOR, eventually
from tests.integration.shell import Shell

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

GOOD = "id: good\nnamespace: first\ntasks:\n  - {id: hello, type: core.log.Log, message: Hello}\n"
LONG = (
    "id: long\nnamespace: first\ntasks:\n"
    "  - {id: sleep, type: scripts.shell.Commands, taskRunner: {type: core.runner.Process}, commands: ['echo begun; exec SLEEP']}\n"
)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "home", {"HOME": str(tmp_path / "home")})
    try:
        yield shell
        assert shell.processes() == []
    finally:
        shell.end()


def _node(shell: Shell) -> dict[str, str]:
    found: dict[str, str] = json.loads((shell.data / "cluster.json").read_text())
    return found


def _runs(command: str) -> bool:
    """Whether a command of a task lives; it does not carry the shell's sign, as nothing of our environment comes to it."""
    return any(process.info["cmdline"] == command.split() for process in psutil.process_iter(["cmdline"]))


def _nothing_is_left(shell: Shell, temp_dir: str) -> None:
    assert shell.processes() == []
    assert not (shell.data / "cluster.json").exists()
    assert not Path(temp_dir).exists()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", shell.port))


@pytest.mark.alone
def test_what_takes_so_long_is_said_within_a_second(shell: Shell) -> None:
    shell.data.mkdir()
    (shell.data / "orchestrator.db").write_text("no database: the start ends soon, after the words that this is about")
    file, taken = shell.file("good.yaml", GOOD), []
    for _ in range(3):
        before = time.monotonic()
        process = shell.begin("run", file)
        assert process.stderr is not None
        first = process.stderr.readline()
        taken.append(time.monotonic() - before)
        process.communicate(timeout=60)
        assert first == f"no server at http://127.0.0.1:{shell.port}: starting Ray and a server in ./.orchestrator (takes 5-15 s)\n"
    assert min(taken) < 1.0, taken


def test_runs_start_one_server_the_next_uses_it_and_stop_ends_all_of_it(shell: Shell) -> None:
    file = shell.file("good.yaml", GOOD)
    for process in [shell.begin("run", file), shell.begin("run", file)]:  # at the same moment
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert f"server ready at http://127.0.0.1:{shell.port}" in err
        assert "orchestrator server stop" in err
        assert "Hello" in out + err
    node = _node(shell)

    second = shell.type("run", "good.yaml")
    assert second.code == 0, second.err
    assert "starting" not in second.err
    assert _node(shell) == node
    assert sum("server local" in line for line in shell.processes()) == 1

    sleep = f"sleep 300.{shell.port}"
    left = shell.type("run", shell.file("long.yaml", LONG.replace("SLEEP", sleep)), "--detach")
    assert left.code == 0, left.err
    eventually(lambda: _runs(sleep), within=20, what="the task runs")

    stopped = shell.type("server", "stop")
    assert (stopped.code, stopped.err) == (0, "stopped\n")
    assert stopped.seconds < 15
    assert not _runs(sleep)
    _nothing_is_left(shell, node["temp_dir"])

    again = shell.type("server", "stop")
    assert (again.code, again.err) == (0, f"no server runs on {shell.data}\n")


@pytest.mark.parametrize("moment", ["ray.scripts.scripts start", "gcs_server", "ray_boot up"])
def test_a_server_told_to_stop_while_it_starts_leaves_nothing(shell: Shell, moment: str) -> None:
    launcher = shell.begin("server", "local")
    eventually(lambda: any(moment in line for line in shell.processes()), within=60, what=f"its start has come to {moment}")
    temp_dir = _node(shell)["temp_dir"]
    before = time.monotonic()
    launcher.send_signal(signal.SIGTERM)
    _, err = launcher.communicate(timeout=30)
    assert time.monotonic() - before < 15
    assert launcher.returncode == 0, err
    assert "error" not in err, err
    assert "Ready at" not in err, err
    _nothing_is_left(shell, temp_dir)


def test_ctrl_c_at_a_terminal_ends_a_server_and_all_it_started(shell: Shell) -> None:
    terminal, inside = pty.openpty()
    launcher = subprocess.Popen(
        [*ORCHESTRATOR, "server", "local"],
        cwd=shell.folder,
        env=shell.environ,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(inside)
    told = _read_until(terminal, b"Next: ")
    assert f"Ready at http://127.0.0.1:{shell.port}".encode() in told
    temp_dir = _node(shell)["temp_dir"]
    before = time.monotonic()
    os.write(terminal, b"\x03")
    assert launcher.wait(30) == 0
    assert time.monotonic() - before < 15
    os.close(terminal)
    _nothing_is_left(shell, temp_dir)


def _read_until(terminal: int, words: bytes) -> bytes:
    told = b""
    while words not in told:
        try:
            told += os.read(terminal, 4096)
        except OSError:  # whoever spoke has ended
            raise AssertionError(told.decode()) from None
    return told


@pytest.mark.long
def test_what_a_killed_launcher_left_is_ended_by_stop(shell: Shell) -> None:
    launcher = shell.begin("server", "local")
    eventually(lambda: any("ray_boot up" in line for line in shell.processes()), within=60, what="Ray runs")
    launcher.kill()
    launcher.wait()
    temp_dir = _node(shell)["temp_dir"]
    assert shell.processes() != []
    stopped = shell.type("server", "stop")
    assert (stopped.code, stopped.err) == (0, "stopped\n")
    _nothing_is_left(shell, temp_dir)
