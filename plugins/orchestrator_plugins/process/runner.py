"""Commands as processes of the worker's own machine."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from threading import Event
from typing import ClassVar

from pydantic import PrivateAttr

from orchestrator.sdk import Job, JobExit, JobHandle, JobLost, JobRejected, JobTools, LogSink, PhaseName, RunnerUnavailable, RunningProcess, TaskRunner
from orchestrator_plugins.process.listening import listen


class Process(TaskRunner):
    """Run on the worker itself, with the programs and files of its machine.

    The processes end with the worker: a run whose worker died is started anew.
    """

    ephemeral: ClassVar[bool] = False
    reattaches: ClassVar[bool] = False

    type: str = "io.kestra.plugin.core.runner.Process"
    _process: RunningProcess | None = PrivateAttr(None)
    _ended: JobExit | None = PrivateAttr(None)
    _stopped: Event = PrivateAttr(default_factory=Event)

    def prepare(self, job: Job) -> JobHandle:
        return JobHandle(key=job.key, runner=self.type, backend=self.backend())

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        if self._process is None and not (tools.cancelled() or self._stopped.is_set()):
            self._process = self._begun(job, tools)
            tools.phase(PhaseName.RUNNING)
            if self._stopped.is_set():  # a stop that came while it was starting
                self._process.stop(timedelta())
        return handle if self._process is None else handle.model_copy(update={"details": {"pid": self._process.pid}})

    @staticmethod
    def _begun(job: Job, tools: JobTools) -> RunningProcess:
        try:
            return tools.processes.start(job.argv, cwd=job.working_dir, env=environment(tools.environment(), job), key=job.key)
        except OSError as err:
            if err.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
                raise RunnerUnavailable(f"this machine can start no process now: {err.strerror}") from err
            raise JobRejected(f"the command `{job.argv[0]}` cannot be started: {err.strerror or err}") from err
        except ValueError as err:
            raise JobRejected(f"the command cannot be started: {err}") from err

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        if self._process is None:
            if self._stopped.is_set():
                return JobExit(code=143, reason="stopped before it was started")
            raise JobLost("the process was started by a worker that is gone, and ended with it")
        if self._ended is None:
            self._ended = JobExit(code=listen(self._process, logs), details={"pid": self._process.pid})
        return self._ended

    def collect(self, job: Job, handle: JobHandle) -> None:
        """The files are where they belong already."""

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        self._stopped.set()
        if self._process is not None:
            self._process.stop(grace)

    def remove(self, handle: JobHandle) -> None:
        """End what the command left running behind itself."""
        if self._process is not None:
            self._process.stop(timedelta())


def environment(node: Mapping[str, str], job: Job) -> Mapping[str, str]:
    """What the command sees: the node's allowed variables, then the job's own; `python` is the worker's interpreter."""
    path = os.pathsep.join(filter(None, (os.path.dirname(sys.executable), node.get("PATH", os.defpath))))
    return {**node, "PATH": path, **job.env}
