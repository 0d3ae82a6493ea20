"""Tasks that run in child processes, and what such a process is given in tests."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from orchestrator import registry
from orchestrator.lang.sealing import Sealer
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.runtime.isolation import Recipe
from orchestrator.runtime.local_services import LocalServices
from orchestrator.runtime.node import Node
from orchestrator.runtime.task_work import Means
from orchestrator.sdk import Dynamic, Json, PhaseName, RunContext, Task, TaskFailed, Text, Warned
from orchestrator_plugins.scripts.tasks import ShellCommands

SECRET = "hunter2-hunter2"


class Isolated(Task):
    """Does one thing, in a child process."""

    isolated: ClassVar[bool] = True

    what: str
    text: Dynamic[Text] | None = None
    file: str | None = None
    count: int = 0

    def run(self, ctx: RunContext) -> Mapping[str, Any]:
        found: Mapping[str, Any] = getattr(self, f"_{self.what}")(ctx)
        return found

    def _says(self, ctx: RunContext) -> Mapping[str, Any]:
        ctx.logger.info("hello")
        ctx.metric("counter", "n", 3)
        ctx.phase(PhaseName.RUNNING)
        ctx.set_labels({"team": "blue"})
        return {"pid": os.getpid(), "text": ctx.render(self.text)}

    def _fails(self, ctx: RunContext) -> Mapping[str, Any]:
        raise TaskFailed(f"it was {ctx.render(self.text)}", outputs={"seen": 1}, exit_code=3)

    def _warns(self, ctx: RunContext) -> Mapping[str, Any]:
        raise Warned("look out", {"a": 1})

    def _odd(self, ctx: RunContext) -> Mapping[str, Any]:
        return {"value": threading.Lock()}

    def _tells(self, ctx: RunContext) -> Mapping[str, Any]:
        ctx.logger.info(f"it is {ctx.render(self.text)}")
        return {}

    def _seals(self, ctx: RunContext) -> Mapping[str, Any]:
        sealed = ctx.seal("very secret")
        ctx.logger.info("very secret")
        return {"sealed": sealed}

    def _uses(self, ctx: RunContext) -> Mapping[str, Any]:
        (ctx.working_dir() / "file").write_text("content")
        uri = ctx.files.put(ctx.working_dir() / "file", "file")
        ctx.keys.put("acme", "key", {"n": 1})
        with ctx.files.open(uri) as file:
            return {"uri": uri, "text": file.read().decode(), "key": ctx.keys.get("acme", "key"), "folder": str(ctx.working_dir())}

    def _chats(self, ctx: RunContext) -> Mapping[str, Any]:
        for number in range(self.count):
            ctx.logger.info(f"line {number}")
        return {}

    def _large(self, ctx: RunContext) -> Mapping[str, Any]:
        return {"value": "x" * self.count}

    def _looks(self, ctx: RunContext) -> Mapping[str, Any]:
        status = Path("/proc/self/status").read_text().splitlines()
        return {
            "environ": dict(os.environ),
            "outside": sorted(entry.partition("=")[0] for entry in Path("/proc/self/environ").read_text().split("\0") if entry),
            "argv": Path("/proc/self/cmdline").read_text(),
            "oom": int(Path("/proc/self/oom_score_adj").read_text()),
            "session": os.getsid(0) == os.getpid(),
            "threads": [line for line in status if line.startswith("Threads")],
            "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")],
            "cwd": os.getcwd(),
        }

    # --- that does not end

    def _here(self) -> None:
        """Tell the test who it is."""
        assert self.file is not None
        with open(self.file, "a") as file:
            file.write(f"{os.getpid()}\n")

    def _listens(self, ctx: RunContext) -> Mapping[str, Any]:
        stopped = threading.Event()
        ctx.on_stop(stopped.set)
        self._here()
        stopped.wait(60)
        ctx.logger.info("stopped in good order")
        return {}

    def _spins(self, ctx: RunContext) -> Mapping[str, Any]:
        self._here()
        while True:
            pass

    def _holds_the_interpreter(self, ctx: RunContext) -> Mapping[str, Any]:
        ctx.logger.info("said before")
        self._here()
        ctypes.PyDLL(None).sleep(60)  # a call that keeps every other thread of the process waiting
        return {}

    def _ignores_signals(self, ctx: RunContext) -> Mapping[str, Any]:
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN) if threading.current_thread() is threading.main_thread() else None
        self._here()
        time.sleep(60)
        return {}

    def _stops_itself(self, ctx: RunContext) -> Mapping[str, Any]:
        self._here()
        os.kill(os.getpid(), signal.SIGSTOP)
        return {}

    def _lets_go(self, ctx: RunContext) -> Mapping[str, Any]:
        """Closes what it does not know, as programs do that become daemons."""
        os.closerange(3, 1000)
        return {}

    def _ends_its_line(self, ctx: RunContext) -> Mapping[str, Any]:
        """Ends every connection that it has, and goes on."""
        self._here()
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as line:
                line.shutdown(socket.SHUT_WR)
        time.sleep(60)
        return {}

    def _breeds(self, ctx: RunContext) -> Mapping[str, Any]:
        """Leaves processes in sessions of their own: started ones, and forked ones that nobody waits for."""
        assert self.file is not None
        code = "import os, sys, time; os.setsid(); open(sys.argv[1], 'a').write(f'{os.getpid()}\\n'); time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", code, self.file])
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                self._here()
                time.sleep(60)
            os._exit(0)
        self._here()
        if self.count:
            time.sleep(60)
        return {}

    # --- that dies

    def _exits(self, ctx: RunContext) -> Mapping[str, Any]:
        ctx.logger.info("said before")
        os._exit(self.count)

    def _crashes(self, ctx: RunContext) -> Mapping[str, Any]:
        ctx.logger.info("said before")
        ctypes.string_at(0)
        return {}

    def _is_killed(self, ctx: RunContext) -> Mapping[str, Any]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


class IsolatedShell(ShellCommands):
    """Commands of a child process: started by its worker's spawner."""

    isolated: ClassVar[bool] = True


class Threaded(Isolated):
    """Loads a module that no process should be forked with."""

    preloads: ClassVar[tuple[str, ...]] = ("tests.unit.runtime.module_with_a_thread",)


class Broken(Isolated):
    """Loads what is not there."""

    preloads: ClassVar[tuple[str, ...]] = ("tests.unit.runtime.no_such_module",)


class Fatal(Isolated):
    """Loads a module that ends its process."""

    preloads: ClassVar[tuple[str, ...]] = ("tests.unit.runtime.module_that_exits",)


TASKS: dict[str, type[Task]] = {
    "test.Isolated": Isolated,
    "test.Shell": IsolatedShell,
    "test.Threaded": Threaded,
    "test.Broken": Broken,
    "test.Fatal": Fatal,
}


def means_of(given: Mapping[str, Json]) -> Means:
    """The means of a child process of these tests."""
    services = LocalServices(secrets={"KEY": SECRET}, sealer=Sealer(b"k" * 32))
    tasks = BuiltTasks(lambda family, name: TASKS.get(name) or registry.load(family, name))
    return Means(given["installation"], lambda dispatch: services, Node(Path(given["base"])), tasks, "auto", lambda: False)


def recipe(base: Path, installation: str = "test") -> Recipe:
    return Recipe(f"{__name__}:means_of", {"base": str(base), "installation": installation})
