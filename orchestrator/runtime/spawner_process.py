"""The program that forks commands: one small single-threaded process beside each worker, joined to it by a socket.

It is run by file name, imports nothing of the project, and so stays small and forks fast. It is the subreaper of all it
starts: what leaves its parent or its session is still below it. When the socket ends, by whatever death of the worker,
it kills all of that and leaves. A command is marked in its environment with its key and with this process, so that the
next spawner finds what one that was itself killed left behind.

Both ways: four bytes of length, then JSON. `start` brings the write ends of the command's two pipes with it, and what
its input is to be where that is not empty.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress

PR_SET_CHILD_SUBREAPER = 36
RUN, SPAWNER = "ORCHESTRATOR_RUN", "ORCHESTRATOR_SPAWNER"
COMMAND_OOM_SCORE = b"900"
DYING = "\0"  # no key
MEMORY = 20  # the place of the memory's size among the fields of /proc/PID/stat after the name
TICK = 0.02  # seconds between looks at what is being stopped
LAST_LOOKS = 500  # ticks spent on killing what is left once the worker has gone
LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")  # a kernel may be built without
_libc = ctypes.CDLL(None, use_errno=True)


class Command:
    """One started command. `pid` is also its session; it may have ended while descendants of it live on."""

    def __init__(self, number: int, key: str, pid: int) -> None:
        self.number, self.key, self.pid, self.ended = number, key, pid, False


class Stopping:
    """The descendants of one key on their way out, and who waits for it."""

    def __init__(self, deadline: float) -> None:
        self.deadline, self.asked, self.waiting = deadline, False, list[int]()


class Spawner:
    """The loop: requests in, pids and exit codes out."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.read, self.write = bytearray(), bytearray()
        self.ends: list[int] = []  # descriptors received and not yet taken by a start
        self.commands: dict[int, Command] = {}  # by pid; kept while anything in that session may live
        self.stopping: dict[str, Stopping] = {}
        self.mark = f"{os.stat('/proc/self/ns/pid').st_ino}-{os.getpid()}-{started(os.getpid())}"
        self.nothing = os.open("/dev/null", os.O_RDONLY)
        self.lease: tuple[float, int] | None = None  # until when the worker may go on, and its pid
        self.worker_began = 0  # its start, so that no other process is ever taken for it
        self.wake = self.catch_children()

    def catch_children(self) -> int:
        """A descriptor that becomes readable when a child has ended."""
        ignored = [number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN]  # of who started the server
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, *ignored):
            signal.signal(number, lambda number, frame: None)  # heard and not heeded: what is ignored, commands would ignore too
        read, write = os.pipe()
        os.set_blocking(read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        return read

    def serve(self) -> None:
        """Until the worker has gone."""
        self.line.setblocking(False)
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        while True:
            poll.register(self.line, select.POLLIN | (select.POLLOUT if self.write else 0))
            for fd, _ in poll.poll(self.patience()):
                if fd == self.wake:
                    os.read(self.wake, 4096)
                elif not self.take():
                    return
            self.reap()
            self.go_on_stopping()
            self.flush()
            if self.lease is not None and time.monotonic() >= self.lease[0]:
                return self.end_worker(self.lease[1])

    def patience(self) -> float | None:
        """How many milliseconds to sleep at most."""
        if self.stopping:
            return TICK * 1000
        return max(0.0, self.lease[0] - time.monotonic()) * 1000 + 1 if self.lease is not None else None

    def end_worker(self, pid: int) -> None:
        """The worker has not shown in time that it may go on: stopped, starved or cut off, it must not overstay. First what it
        started, which nobody else could end; then the worker itself, for what runs in its threads."""
        self.end_all()
        if started(pid) == self.worker_began:
            send((pid,), signal.SIGKILL)

    # --- the socket

    def take(self) -> bool:
        """Read what has come; False when the worker has gone."""
        try:
            data, extra, _, _ = self.line.recvmsg(1 << 16, socket.CMSG_LEN(8 * 4), socket.MSG_CMSG_CLOEXEC)  # no command may inherit another's pipe
        except BlockingIOError:
            return True
        except OSError:
            return False
        for _, _, given in extra:
            self.ends += struct.unpack(f"{len(given) // 4}i", given)
        self.read += data
        while len(self.read) >= 4:
            size = struct.unpack_from("!I", self.read)[0]
            if len(self.read) < 4 + size:
                break
            request = json.loads(self.read[4 : 4 + size])
            del self.read[: 4 + size]
            self.obey(request)
        return bool(data)

    def tell(self, message: dict[str, object]) -> None:
        text = json.dumps(message).encode()
        self.write += struct.pack("!I", len(text)) + text

    def flush(self) -> None:
        try:
            while self.write:
                del self.write[: self.line.send(self.write)]
        except BlockingIOError:
            pass
        except OSError:
            self.write.clear()  # the worker has gone: the next read says so

    def obey(self, request: dict[str, object]) -> None:
        if request["do"] == "start":
            self.start(request)
            self.flush()
        elif request["do"] == "adopt":
            self.adopt(int(str(request["number"])), str(request["key"]), int(str(request["pid"])))
        elif request["do"] == "stop":
            self.stop(str(request["key"]), float(str(request["grace"])), int(str(request["number"])))
        elif request["do"] == "lease":
            pid = int(str(request["pid"]))
            self.worker_began = self.worker_began or started(pid)
            self.lease = (time.monotonic() + float(str(request["seconds"])), pid)

    # --- starting

    def start(self, request: dict[str, object]) -> None:
        stdout, stderr = self.ends.pop(0), self.ends.pop(0)
        stdin = self.ends.pop(0) if request.get("stdin") else os.dup(self.nothing)
        number, key, argv, env = int(str(request["number"])), str(request["key"]), request["argv"], request["env"]
        assert isinstance(argv, list)
        assert isinstance(env, dict)
        marked = {**env, RUN: key, SPAWNER: self.mark}
        try:
            # By vfork: nine times faster than a fork of this process, small as it is.
            child = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr, cwd=str(request["cwd"]), env=marked, start_new_session=True)  # noqa: S603
        except OSError as err:
            self.tell({"number": number, "errno": err.errno or errno.EIO, "where": "cwd" if err.filename == request["cwd"] else "exec"})
        except Exception:  # text that no program can be given
            self.tell({"number": number, "errno": errno.EINVAL, "where": "exec"})
        else:
            child.returncode = 0  # else the module would wait for it in its own time, and take the exit code from us
            write_quietly(f"/proc/{child.pid}/oom_score_adj", COMMAND_OOM_SCORE)
            self.commands[child.pid] = Command(number, key, child.pid)
            self.tell({"number": number, "pid": child.pid})
        finally:
            for end in (stdin, stdout, stderr):
                os.close(end)

    def adopt(self, number: int, key: str, pid: int) -> None:
        """Take a process that has become a child of this one as a command, as if it had been started here."""
        if pid in children(os.getpid()) and pid not in self.commands:
            self.commands[pid] = Command(number, key, pid)
            self.tell({"number": number, "pid": pid})
        else:
            self.tell({"number": number, "errno": errno.ESRCH, "where": "exec"})

    # --- ending

    def reap(self) -> None:
        """Take the ends of children, and tell those of commands; `clean` when the command has left nothing behind."""
        ended: list[tuple[Command, int]] = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            command = self.commands.get(pid)
            if command is not None:
                command.ended = True
                ended.append((command, os.waitstatus_to_exitcode(status)))
        if ended:
            living = {self.key_of(child) for child in children(os.getpid())}
            for command, code in ended:
                clean = command.key not in living and "" not in living
                if clean:
                    del self.commands[command.pid]
                self.tell({"number": command.number, "exit": code if code >= 0 else 128 - code, "signal": max(0, -code), "clean": clean})

    def stop(self, key: str, grace: float, number: int) -> None:
        deadline = time.monotonic() + grace
        one = self.stopping.setdefault(key, Stopping(deadline))
        one.deadline = min(one.deadline, deadline)
        one.waiting.append(number)

    def go_on_stopping(self) -> None:
        if not self.stopping:
            return
        owned = self.owned()
        dying = owned.pop(DYING, None) is not None
        strangers = owned.pop("", [])
        for key, one in list(self.stopping.items()):
            left = owned.get(key, [])
            if owned.keys() <= {key}:
                left = left + strangers  # what hid its mark and its session can only be of the one key that is left
            if not left:
                if not dying:
                    self.gone(key, one)
            elif time.monotonic() >= one.deadline:
                send(left, signal.SIGKILL)
            elif not one.asked:
                one.asked = True
                send(left, signal.SIGTERM)
                send(left, signal.SIGCONT)  # a stopped process would never see the first

    def gone(self, key: str, one: Stopping) -> None:
        for number in one.waiting:
            self.tell({"number": number, "gone": True})
        del self.stopping[key]
        for pid in [pid for pid, command in self.commands.items() if command.key == key and command.ended]:
            del self.commands[pid]

    def owned(self) -> dict[str, list[int]]:
        """Every process below this one, by the key it belongs to: "" when it can no longer be told, DYING for a child that has ended
        and is not waited for yet; what it leaves behind comes after it in the next list."""
        owned: dict[str, list[int]] = {}
        for child in children(os.getpid()):
            key, found = self.key_of(child), below(child)
            owned.setdefault(DYING if has_ended(child) else key, []).extend(found)
        return owned

    def key_of(self, child: int) -> str:
        """By its pid, its session, or the mark in its environment."""
        command = self.commands.get(child)
        if command is None:
            try:
                command = self.commands.get(os.getsid(child))
            except OSError:
                command = None
        return command.key if command is not None else marks(child).get(RUN, "")

    def end_all(self) -> None:
        """The worker has gone: nothing of it stays."""
        for _ in range(LAST_LOOKS):
            if not children(os.getpid()):
                return
            send(below(os.getpid())[1:], signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                continue
            select.select([], [], [], TICK / 4)


def sweep(mark: str) -> None:
    """Kill what spawners that are no more left behind in this pid namespace."""
    namespace = mark.split("-")[0]
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        owner = marks(int(name)).get(SPAWNER, "").split("-")
        if len(owner) == 3 and owner[0] == namespace and str(started(int(owner[1]))) != owner[2]:
            send([int(name)], signal.SIGKILL)


def children(pid: int) -> list[int]:
    """The direct children of a process, of all its threads."""
    if not LISTS_CHILDREN:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and stat(int(name))[1:2] == [str(pid).encode()]]
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += [int(child) for child in file.read().split()]
    return found


def below(pid: int) -> list[int]:
    """A process and all its descendants, parents first; those that have ended and nobody has waited for count not."""
    found, waiting = list[int](), [pid]
    while waiting:
        one = waiting.pop()
        waiting += children(one)
        if not has_ended(one):
            found.append(one)
    return found


def has_ended(pid: int) -> bool:
    """Whether a process runs no more: it is a zombie, or on its way to one and has given up its memory, and its mark with it."""
    fields = stat(pid)
    return len(fields) <= MEMORY or fields[0] in (b"Z", b"X") or fields[MEMORY] == b"0"


def started(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 when there is none."""
    fields = stat(pid)
    return int(fields[19]) if len(fields) > 19 and fields[0] not in (b"Z", b"X") else 0


def stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def marks(pid: int) -> dict[str, str]:
    """Our marks in the environment that a process was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = [entry.partition(b"=") for entry in file.read().split(b"\0") if entry.startswith(b"ORCHESTRATOR_")]
    except OSError:
        return {}
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, _, value in pairs}


def send(pids: list[int] | tuple[int, ...], number: int) -> None:
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)


def write_quietly(path: str, data: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
    except OSError:
        pass


def main(descriptor: int) -> None:
    if os.fork():  # not the worker's own child: what ends a worker may end its children with it
        os._exit(0)
    os.setsid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.set_inheritable(descriptor, False)
    spawner = Spawner(socket.socket(fileno=descriptor))
    sweep(spawner.mark)
    spawner.tell({"ready": os.getpid()})
    spawner.flush()
    try:
        spawner.serve()
    finally:
        spawner.end_all()


if __name__ == "__main__":
    main(int(sys.argv[1]))
