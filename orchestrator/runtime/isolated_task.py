"""A task in a child process: the same work with the same context, whose every word goes over the line to its worker."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, BinaryIO

from orchestrator.errors import JobLost
from orchestrator.lang.expressions import plain
from orchestrator.model.dispatch import Dispatch
from orchestrator.model.execution import PhaseName
from orchestrator.model.job import JobHandle
from orchestrator.model.values import Json
from orchestrator.runtime.isolated_process import Home, refused
from orchestrator.runtime.reaching import Known
from orchestrator.runtime.run_log import RunLog
from orchestrator.runtime.stopping import Stopped
from orchestrator.runtime.task_work import Around, TaskWork
from orchestrator.sdk import Processes, RunningProcess, TaskRunner

WORK = f"{__name__}:do"
LOOK = 0.2  # seconds between looks at whether a run that waits was told to stop


def do(given: Mapping[str, Json], home: Home) -> Mapping[str, Json]:
    """The facts of the outcome of `given["dispatch"]`."""
    dispatch = Dispatch.model_validate(given["dispatch"])
    known, head = Known(), {"task_run_id": dispatch.task_run_id, "execution_id": dispatch.execution_id, "lease": dispatch.lease}
    log = RunLog(home, lambda: head, known, least=dispatch.log_level, most=sys.maxsize)  # the worker counts
    around = Around(log=log, known=known, stop=home.stop, reports=ToldReports(home, dispatch), processes=ToldProcesses(home), folders=ToldFolders(home))
    return TaskWork(dispatch, home.means, around, sealed=bool(given["sealed"])).facts()


class ToldFolders(set[str]):
    """The working directories made, known to the worker before they are."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home

    def add(self, key: str) -> None:
        if key not in self:
            super().add(key)
            self._home.tell("folder", key=key)


class ToldReports:
    """The context's Reports, passed on."""

    def __init__(self, home: Home, dispatch: Dispatch) -> None:
        self._home, self._dispatch = home, dispatch

    def lease_of_job(self) -> int:
        return self._dispatch.lease

    def phase(self, name: PhaseName, detail: str | None = None) -> None:
        self._home.tell("phase", name=name, detail=detail)

    def metric(self, metric: Mapping[str, Json]) -> None:
        self._home.tell("metric", metric=dict(metric))

    def save_job(self, handle: JobHandle, *, wait: bool) -> None:
        saved = self._saved("job", [], handle=handle.model_dump(mode="json"))
        while wait and not saved.wait(LOOK):
            self._home.stop.check()

    def _saved(self, do: str, heard: list[Mapping[str, Any]], **facts: Json) -> threading.Event:
        """Have the worker report something; set once it has answered, with the answer in `heard`."""
        saved = threading.Event()

        def answered(told: Mapping[str, Any], descriptors: Sequence[int]) -> bool:
            heard.append(told)
            saved.set()
            return True

        self._home.ask(do, answered, **facts)
        return saved

    def emit(self, variables: Mapping[str, Json]) -> None:
        told = list[Mapping[str, Any]]()
        saved = self._saved("emit", told, variables=plain(dict(variables)))
        saved.wait()  # the worker gives up before it kills us
        if "error" in told[0]:
            raise Stopped(told[0]["error"])

    def forget_job(self) -> None:
        self._home.tell("job-gone")

    def guard(self, runner: TaskRunner, handle: JobHandle) -> None:
        """What a child process watches is not guarded: it is a worker's, and ends with it."""

    def was_let_go(self, key: str) -> bool:
        return False

    def afterwards(self, action: Callable[[], None]) -> None:
        self._home.afterwards.append(action)

    @contextmanager
    def holding(self) -> Iterator[None]:
        self._home.tell("holding", held=True)
        try:
            yield
        finally:
            self._home.tell("holding", held=False)


class ToldProcess(RunningProcess):
    """A command that the worker's spawner has started, its output here."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._first, self._last = threading.Event(), threading.Event()
        self._code: int | None = None
        self._refused: Exception | None = None
        self._key = ""

    def begun(self, **request: Json) -> RunningProcess:
        self._key = request["key"]
        self._home.ask("start", self._told, **request)
        self._first.wait()
        if self._refused is not None:
            raise self._refused
        return self

    def _told(self, told: Mapping[str, Any], descriptors: Sequence[int]) -> bool:
        if descriptors:
            self.pid = int(told["pid"])
            self.stdout: BinaryIO = open(descriptors[0], "rb")  # noqa: SIM115 - closed by its reader
            self.stderr: BinaryIO = open(descriptors[1], "rb")  # noqa: SIM115
            self._first.set()
            return False
        self._code, self._refused = told.get("code"), refused(told)
        self._last.set()
        self._first.set()
        return True

    def wait(self, timeout: float | None = None) -> int:
        if not self._last.wait(timeout):
            raise TimeoutError(f"process {self.pid} is still running")
        if self._code is None:
            raise JobLost(f"process {self.pid} was lost: the process that had started it was killed")
        return self._code

    def stop(self, grace: timedelta) -> None:
        gone = threading.Event()

        def answered(told: Mapping[str, Any], descriptors: Sequence[int]) -> bool:
            gone.set()
            return True

        self._home.ask("end", answered, key=self._key, grace=grace.total_seconds())
        gone.wait()


class ToldProcesses(Processes):
    """The worker's spawner, asked over the line."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def start(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], key: str) -> RunningProcess:
        return ToldProcess(self._home).begun(argv=list(argv), cwd=cwd, env=dict(env), key=key)
