"""What a person at a terminal sees, and what Ctrl-C does there: the program on a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_fake_server import FakeServer, execution, task_run

RUNNING = execution("RUNNING", task_run("hello", "RUNNING"))


class Terminal:
    """The command line with a terminal for its three streams."""

    def __init__(self, *args: str | Path, **env: str) -> None:
        self._fd, end = pty.openpty()
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli.main", *map(str, args)],
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **env},
        )
        os.close(end)

    def read_until(self, text: str, seconds: float = 20.0) -> str:
        deadline = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < deadline, f"`{text}` never came: {self.said!r}"
            if not self._read():
                assert text in self.said, f"it ended without `{text}`: {self.said!r}"
        return self.said

    def _read(self) -> bool:
        if not select.select([self._fd], [], [], 0.5)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other end is closed
            return False
        self.said += data.decode(errors="replace")
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def interrupt(self) -> None:
        os.kill(self.process.pid, signal.SIGINT)

    def end(self) -> int:
        deadline = time.monotonic() + 20
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read()
        while select.select([self._fd], [], [], 0)[0] and self._read():
            pass
        return self.process.wait(1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*args: str | Path, **env: str) -> Terminal:
        opened.append(Terminal(*args, **env))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_terminal_shows_a_live_tree_in_colour_with_logs_above_it(server: FakeServer, flow_file: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("run", flow_file)
    assert shown.end() == 0
    assert "└─ " in shown.said
    assert "✓ SUCCESS" in shown.said
    assert "\x1b[32m" in shown.said
    assert "Hello world" in shown.said
    assert "answer: 42" in shown.said
    assert "orchestrator execution show abc123" in shown.said


def test_no_color_leaves_word_and_shape(server: FakeServer, flow_file: Path, terminal: Callable[..., Terminal]) -> None:
    shown = terminal("run", flow_file, NO_COLOR="1")
    assert shown.end() == 0
    assert "✓ SUCCESS" in shown.said
    assert not re.search(r"\x1b\[3[0-9]m", shown.said)


def test_ctrl_c_asks_and_detaching_leaves_the_run_going(server: FakeServer, flow_file: Path, terminal: Callable[..., Terminal]) -> None:
    server.until_killed, server.story = True, [RUNNING, execution("KILLED")]
    shown = terminal("run", flow_file)
    shown.read_until("RUNNING")
    shown.interrupt()
    shown.read_until("[d]etach / [k]ill")
    shown.type("d\n")
    assert shown.end() == 0
    assert "left running" in shown.said
    assert not server.killed.is_set()


def test_ctrl_c_may_be_answered_with_going_on_and_then_with_kill(server: FakeServer, flow_file: Path, terminal: Callable[..., Terminal]) -> None:
    server.until_killed, server.story = True, [RUNNING, execution("KILLED", task_run("hello", "KILLED"))]
    shown = terminal("run", flow_file)
    shown.read_until("RUNNING")
    shown.interrupt()
    shown.read_until("[d]etach / [k]ill")
    shown.said = ""
    shown.type("\n")
    shown.read_until("RUNNING")  # it draws again
    assert not server.killed.is_set()
    shown.interrupt()
    shown.read_until("[d]etach / [k]ill")
    shown.type("k\n")
    assert shown.end() == 1
    assert server.killed.is_set()
    assert "■ KILLED" in shown.said


def test_ctrl_c_twice_kills(server: FakeServer, flow_file: Path, terminal: Callable[..., Terminal]) -> None:
    server.until_killed, server.story = True, [RUNNING, execution("KILLED")]
    shown = terminal("run", flow_file)
    shown.read_until("RUNNING")
    shown.interrupt()
    shown.read_until("[d]etach / [k]ill")
    shown.interrupt()
    assert shown.end() == 1
    assert server.killed.is_set()
