"""Child processes for work that a thread could not be stopped in: forked for one work each, and killed when they must be."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from orchestrator.errors import Unavailable
from orchestrator.model.execution import Cause
from orchestrator.model.values import Json
from orchestrator.runtime.frames import Frames
from orchestrator.runtime.spawner import Line, Spawner, Waiting
from orchestrator.runtime.spawner_process import started
from orchestrator.runtime.stopping import StopSignal

PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from orchestrator.runtime.zygote import main; main()"
GRACE = 0.4  # seconds that a child which was told to stop has until it is killed
LAST_WORDS = 1.0  # seconds from the end of what it says to its own
LONGEST_TIDYING = 600.0  # seconds that a child whose outcome is saved may take to remove what it has made
GREETING = 60.0  # seconds until a child must have greeted: loading what it needs is in it, once
TICK = 0.005  # seconds between looks at a child that nobody else can tell of
TRIES = 3  # zygotes that may die on one fork
KEY = "{}-{:012}"  # of one length: a child overwrites the mark that it was born with


@dataclass(frozen=True)
class Recipe:
    """How another process comes to the Means of its work: a function by its name (`module:function`), and what it is given, as JSON."""

    maker: str
    given: Mapping[str, Json]


class Child:
    """One child process, from before it is forked until it is seen gone."""

    def __init__(self, spawner: Spawner, line: Line, key: str, may_kill: threading.Event) -> None:
        self._spawner, self._line, self.key, self._may_kill = spawner, line, key, may_kill
        self._ours, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.frames = Frames(self._ours)
        self._over = threading.Event()
        self._waiting: Waiting | None = None
        self._killed = self._released = False
        self._pid = self._began = 0  # its number, and when the process of that number began

    def greeted(self) -> bool:
        """Wait until it is there; False when it will not come. Raises Unavailable when the machine can make no process."""
        self._ours.settimeout(GREETING)
        hello = self.frames.receive()
        self._ours.settimeout(None)
        if hello is None:
            return False
        if "failed" in hello:
            raise Unavailable(f"no process can be had for an isolated run: {hello['failed']}")
        self._pid = int(hello["pid"])
        self._began = started(self._pid)
        try:
            self._waiting = self._line.adopt(self._pid, self.key, self._ended)
        except (ProcessLookupError, Unavailable):  # killed this very moment, or the spawner was
            return False
        return True

    def _ended(self) -> None:
        """It is no more: what it has said is read to its end, also where a process of its own still holds the line."""
        self._over.set()
        self.frames.hush()

    def stop(self, cause: Cause) -> None:
        """Tell it to stop, kill it when it does not, and return when it is gone. It lives on while `may_kill` is not set."""
        if self._waiting is None:
            self.frames.hush()  # it has not begun, and ends when it finds nobody there
        elif not self._released:
            deadline = time.monotonic() + GRACE
            while not self.frames.tell({"stop": cause}):  # somebody else is saying something to it, or it takes nothing
                if self._over.wait(TICK):
                    return None
                if self._may_kill.is_set() and time.monotonic() >= deadline:
                    return self._kill()
            while not self._over.wait(GRACE):
                if self._may_kill.is_set():
                    return self._kill()
                self._may_kill.wait()
        return None

    def _kill(self) -> None:
        self._killed = True
        self._clear()

    def _clear(self) -> None:
        """End all that has come of it; returns when nothing is left."""
        self._line.stop(self.key, timedelta())
        if self._line.lost:
            self._spawner.warm_up()  # it kills what the lost one has left before it is ready
            while self._began and started(self._pid) == self._began:
                time.sleep(TICK)
        elif self._waiting is not None:
            self._over.wait()

    def gone(self, within: float = LAST_WORDS) -> Waiting | None:
        """How it ended, once nothing of it is left. None when it never began, or did not end `within` seconds and was killed here."""
        if self._waiting is not None and not self._over.wait(within):
            self._killed = True
        self._clear()
        self.frames.close()
        return None if self._killed else self._waiting

    def release(self) -> None:
        """Its outcome is known, and it has something to do once that is saved: a stop is no longer for it."""
        self._released = True

    def finish(self, serve: Callable[[], None]) -> None:
        """The outcome is saved: let it do what it has put off, with `serve` doing what it asks for meanwhile, and end."""
        threading.Thread(target=serve, name="tidying", daemon=True).start()
        while not (self.frames.tell({"kept": True}) or self._over.wait(TICK)):
            continue
        self.gone(LONGEST_TIDYING)


class Zygote:
    """The process that children are forked from: it has the runtime loaded, one thread, and nothing of any run in it."""

    def __init__(self, line: Line, recipe: Recipe, *, key: str, environment: Mapping[str, str], folder: Path) -> None:
        self.line, self._key = line, key
        self.proven: set[str] = set()  # modules that it has loaded and lived on
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._frames = Frames(ours)
        with theirs:
            argv = [sys.executable, "-P", "-c", PROGRAM, *map(os.path.abspath, sys.path)]  # its modules are found where ours are
            self._waiting = line.launch(argv, str(folder), environment, key, (1, 2, theirs.fileno()))
        self._frames.send({"maker": recipe.maker, "given": dict(recipe.given)})

    @property
    def lost(self) -> bool:
        return self.line.lost or self._waiting.last.is_set()

    def fork(self, child: Child, modules: Sequence[str]) -> None:
        """Have it forked; it greets on its own line. Modules are loaded before, once."""
        with suppress(OSError):  # of a zygote that is gone: the child does not greet
            self._frames.send({"modules": list(modules)}, [child.end.fileno()])
        child.end.close()

    def end(self) -> None:
        """End it, however it is; children that it has made go on."""
        self._frames.close()
        self.line.stop(self._key, timedelta())


class Isolation:
    """Makes children. The first has the zygote started; one that died is replaced. Safe in threads."""

    def __init__(self, spawner: Spawner, recipe: Recipe, *, environment: Callable[[], Mapping[str, str]], folder: Path) -> None:
        self._spawner, self._recipe, self._environment, self._folder = spawner, recipe, environment, folder
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._zygote: Zygote | None = None
        self._cold: set[str] = set()  # modules that no zygote is asked to load: one died of it, or got threads by it

    def child(self, modules: Sequence[str], stop: StopSignal, may_kill: threading.Event) -> Child:
        """A child that waits for its work. From now on a stop ends it. Raises Stopped, and Unavailable when there can be none."""
        for _ in range(TRIES):
            stop.check()
            zygote, warm = self._living(), [name for name in modules if name not in self._cold]
            child = Child(self._spawner, zygote.line, KEY.format("forked", next(self._numbers)), may_kill)
            stop.add(lambda child=child: child.stop(stop.cause or Cause.KILLED))  # type: ignore[misc]
            zygote.fork(child, warm)
            if child.greeted():
                zygote.proven.update(warm)
                return child
            child.gone()
            stop.check()
            zygote.end()  # if it lives it hangs
            self._cold.update(set(warm) - zygote.proven)
        stop.check()
        raise Unavailable("no process can be had for an isolated run: the process that it would come of does not start; the worker's log tells why")

    def _living(self) -> Zygote:
        with self._lock:
            if self._zygote is None or self._zygote.lost:
                if self._zygote is not None:
                    self._zygote.end()
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                key = KEY.format("zygote", next(self._numbers))
                self._zygote = Zygote(self._spawner.line(), self._recipe, key=key, environment=self._environment(), folder=self._folder)
            return self._zygote
