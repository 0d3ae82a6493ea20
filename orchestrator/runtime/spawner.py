"""The worker's side of the spawner: starts commands, waits for them, stops all that came of them."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.errors import JobLost, Unavailable

PROGRAM = Path(__file__).with_name("spawner_process.py")
ANSWER = 30.0  # seconds in which a spawner must have said something
_PIPE_BYTES = 1 << 18  # a burst of output should not wait for its reader


class Waiting:
    """Answers to one request: started or not, then (of a start) its exit, or gone (of a stop)."""

    def __init__(self, key: str, then: Callable[[], None] | None = None) -> None:
        self.key, self._then = key, then
        self.first, self.last = threading.Event(), threading.Event()
        self.answer: dict[str, Any] = {}
        self.code: int | None = None
        self.signal = 0  # that ended it; 0 for an end of its own
        self.lost = False

    def told(self, message: dict[str, Any]) -> bool:
        """Take a message; whether it was the last."""
        if "exit" in message:
            self.code, self.signal = int(message["exit"]), int(message["signal"])
        else:
            self.answer = message
        self.first.set()
        if "pid" in message:
            return False
        self._over()
        return True

    def lose(self) -> None:
        self.lost = True
        self.first.set()
        self._over()

    def _over(self) -> None:
        self.last.set()
        if self._then is not None:
            self._then()


class SpawnedProcess:
    """A command of the spawner: an sdk `RunningProcess`."""

    def __init__(self, line: Line, key: str, waiting: Waiting, stdout: int, stderr: int) -> None:
        self._line, self._key, self._waiting = line, key, waiting
        self.pid = int(waiting.answer["pid"])
        self.stdout: BinaryIO = open(stdout, "rb")  # noqa: SIM115 - closed by its reader
        self.stderr: BinaryIO = open(stderr, "rb")  # noqa: SIM115

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, 128+n for signal n. Raises TimeoutError, and JobLost when the spawner itself was killed."""
        if not self._waiting.last.wait(timeout):
            raise TimeoutError(f"process {self.pid} is still running")
        if self._waiting.code is None:
            raise JobLost(f"process {self.pid} was lost: the process that had started it was killed")
        return self._waiting.code

    def stop(self, grace: timedelta) -> None:
        self._line.stop(self._key, grace)


class Line:
    """One spawner process and the socket to it. Of no more use once `lost`."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Waiting] = {}
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._living: dict[str, set[int]] = {}  # by key: the commands that may have something left alive
        self.lost = False
        self.pid = 0
        self._socket = self._launch()
        self._ready = threading.Event()
        threading.Thread(target=self._listen, name="spawner", daemon=True).start()
        if not self._ready.wait(ANSWER) or self.lost:
            raise Unavailable("the process that starts commands did not start")

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            argv = [sys.executable, "-I", "-S", str(PROGRAM), str(theirs.fileno())]
            subprocess.run(argv, pass_fds=[theirs.fileno()], env={}, cwd="/", stdin=subprocess.DEVNULL, check=True, timeout=ANSWER)  # noqa: S603
        return ours

    def _listen(self) -> None:
        read = bytearray()
        with suppress(OSError):
            while data := self._socket.recv(1 << 16):
                read += data
                while len(read) >= 4 and len(read) >= 4 + (size := struct.unpack_from("!I", read)[0]):
                    self._heard(json.loads(read[4 : 4 + size]))
                    del read[: 4 + size]
        with self._lock:
            self.lost = True
            left, self._waiting = list(self._waiting.values()), {}
        self._ready.set()
        for waiting in left:
            waiting.lose()
        if self.pid:
            self._on_lost()

    def _heard(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.pid = int(message["ready"])
            self._ready.set()
            return
        with self._lock:
            waiting = self._waiting.get(message["number"])
        if waiting is None:
            return
        if message.get("clean") or "errno" in message:
            self._forget(waiting.key, message["number"])
        if waiting.told(message):
            with self._lock:
                self._waiting.pop(message["number"], None)

    def _forget(self, key: str, number: int | None = None) -> None:
        """A command of the key, or all, has left nothing behind."""
        with self._lock:
            living = self._living.get(key, set())
            living.discard(number or 0)
            if number is None or not living:
                self._living.pop(key, None)

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = (), then: Callable[[], None] | None = None) -> Waiting:
        """Send a request; `then` is called with its last answer. Raises Unavailable when the spawner has gone."""
        waiting, number = Waiting(str(request["key"]), then), next(self._numbers)
        text = json.dumps({**request, "number": number}).encode()
        with self._lock:
            if self.lost:
                raise Unavailable("the process that starts commands was killed")
            self._waiting[number] = waiting
            if request["do"] != "stop":
                self._living.setdefault(waiting.key, set()).add(number)
        try:
            with self._sending:
                socket.send_fds(self._socket, [struct.pack("!I", len(text))], list(descriptors))
                self._socket.sendall(text)
        except OSError as err:
            self.close()
            raise Unavailable("the process that starts commands was killed") from err
        return waiting

    def start(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], key: str) -> SpawnedProcess:
        (out, out_end), (err, err_end) = _pipe(), _pipe()
        try:
            waiting = self.ask({"do": "start", "argv": list(argv), "cwd": cwd, "env": dict(env), "key": key}, (out_end, err_end))
            waiting.first.wait()
            _check(waiting, argv, cwd)
            return SpawnedProcess(self, key, waiting, out, err)
        except BaseException:
            os.close(out)
            os.close(err)
            raise
        finally:
            os.close(out_end)
            os.close(err_end)

    def launch(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], key: str, ends: tuple[int, int, int]) -> Waiting:
        """As `start`, with the command's standard output, error and input given."""
        waiting = self.ask({"do": "start", "argv": list(argv), "cwd": cwd, "env": dict(env), "key": key, "stdin": True}, ends)
        waiting.first.wait()
        _check(waiting, argv, cwd)
        return waiting

    def adopt(self, pid: int, key: str, then: Callable[[], None]) -> Waiting:
        """Have a child of the spawner that another process of its forked belong to a key; `then` is called when it has ended.

        Raises ProcessLookupError when there is no such child (any more), Unavailable when the spawner has gone."""
        waiting = self.ask({"do": "adopt", "key": key, "pid": pid}, then=then)
        waiting.first.wait()
        _check(waiting, [str(pid)], "")
        return waiting

    def stop(self, key: str, grace: timedelta) -> None:
        """Return once nothing of the key is left; at once when the spawner has gone, which takes its commands with it."""
        with self._lock:
            if key not in self._living:
                return
        with suppress(Unavailable):
            self.ask({"do": "stop", "key": key, "grace": max(0.0, grace.total_seconds())}).last.wait()
            self._forget(key)

    def renew(self, seconds: float) -> None:
        """Let this process and its commands go on for so long. Asks for no answer."""
        text = json.dumps({"do": "lease", "seconds": seconds, "pid": os.getpid()}).encode()
        with suppress(OSError), self._sending:
            self._socket.sendall(struct.pack("!I", len(text)) + text)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


class Spawner:
    """Starts this node's commands (an sdk `Processes`). Safe in threads; a spawner process that was killed is replaced."""

    def __init__(self) -> None:
        self._line: Line | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._seconds: float | None = None  # of the present lease, where there is one

    def start(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], key: str) -> SpawnedProcess:
        """Start a command with exactly this environment and the marks of its key.

        Raises FileNotFoundError or PermissionError as exec does, other OSErrors, Unavailable when no spawner can be had.
        """
        if not argv or any("\0" in text for text in (*argv, cwd, *env, *env.values())):
            raise ValueError("a command needs a name, and no text of it may hold a NUL")
        return self.line().start(argv, cwd, env, key)

    def stop(self, key: str, grace: timedelta) -> None:
        """End whatever still lives of a key: SIGTERM, after `grace` SIGKILL; returns when it is gone. Repeatable."""
        line = self._line
        if line is not None:
            line.stop(key, grace)

    def renew(self, seconds: float) -> None:
        """Put off the moment at which the spawner process ends all commands, and then this process, by its own clock."""
        self._seconds = seconds
        if self._line is not None and not self._line.lost:
            self._line.renew(seconds)

    def warm_up(self) -> None:
        """Have a spawner process ready; it first kills what earlier ones left on this machine."""
        with suppress(Unavailable, OSError, subprocess.SubprocessError):
            self.line()

    @property
    def pid(self) -> int:
        """The spawner process now; it is started when there is none."""
        return self.line().pid

    def line(self) -> Line:
        """The spawner process of now; it is started when there is none. Raises Unavailable."""
        with self._lock:
            if self._closed:
                raise Unavailable("this worker is closing")
            if self._line is None or self._line.lost:
                self._line = Line(self.warm_up)  # when it is lost the next comes at once, and first kills what was left
                if self._seconds is not None:
                    self._line.renew(self._seconds)
            return self._line

    def close(self) -> None:
        """Kill every command; what is below them too."""
        with self._lock:
            self._closed = True
            if self._line is not None:
                self._line.close()


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    with suppress(OSError):  # above the user's share of pipe memory: the default size serves
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return ends


def _check(waiting: Waiting, argv: Sequence[str], cwd: str) -> None:
    if waiting.lost:
        raise Unavailable("the process that starts commands was killed")
    code = waiting.answer.get("errno")
    if code is not None:
        about = cwd if waiting.answer["where"] == "cwd" else argv[0]
        raise OSError(code, os.strerror(code), about)  # becomes FileNotFoundError, PermissionError ... by its number
