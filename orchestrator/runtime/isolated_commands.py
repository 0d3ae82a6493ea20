"""Commands that the work of a child process wants: started by its worker's spawner, their output handed to the child."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from orchestrator.errors import JobLost, OrchestratorError
from orchestrator.runtime.frames import Frames
from orchestrator.runtime.task_work import Around
from orchestrator.sdk import RunningProcess


class IsolatedCommands:
    """Those of one child, by key."""

    def __init__(self, frames: Frames, around: Around) -> None:
        self._frames, self._around = frames, around
        self._processes: dict[str, RunningProcess] = {}

    def take(self, told: dict[str, Any]) -> bool:
        """Do what the child asks for; whether it was about a command."""
        if told["do"] == "start":
            self._start(told)
        elif told["do"] == "end":
            self._apart(lambda: self._end(told))
        else:
            return False
        return True

    def _start(self, told: dict[str, Any]) -> None:
        key, number = told["key"], told["number"]
        try:
            self._around.stop.check()
            self._around.keys.add(key)
            process = self._around.processes.start(told["argv"], cwd=told["cwd"], env=told["env"], key=key)
        except OSError as err:
            self._frames.send({"number": number, "errno": err.errno, "error": err.strerror, "about": err.filename})
        except (OrchestratorError, ValueError) as err:
            self._frames.send({"number": number, "error": str(err), "value": isinstance(err, ValueError)})
        else:
            self._processes[key] = process
            self._hand_over(process, number)

    def _hand_over(self, process: RunningProcess, number: int) -> None:
        with process.stdout, process.stderr:
            self._frames.send({"number": number, "pid": process.pid, "descriptors": 2}, [process.stdout.fileno(), process.stderr.fileno()])
        self._apart(lambda: self._wait(process, number))

    def _wait(self, process: RunningProcess, number: int) -> None:
        code: int | None = None
        with suppress(JobLost):
            code = process.wait()
        self._frames.send({"number": number, "code": code})

    def _end(self, told: dict[str, Any]) -> None:
        process = self._processes.get(told["key"])
        if process is not None:
            process.stop(timedelta(seconds=told["grace"]))
        self._frames.send({"number": told["number"]})

    @staticmethod
    def _apart(action: Callable[[], None]) -> None:
        def quietly() -> None:
            with suppress(OSError):  # nobody is there any more to be told
                action()

        threading.Thread(target=quietly, name="command", daemon=True).start()
