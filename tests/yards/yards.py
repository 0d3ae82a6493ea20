"""A task runner of a third party, for tests: a small cloud whose jobs are processes that belong to nobody, told by files of a folder.

`region` is that folder. A job has one in it by its key: `starts` has a line for each time that its command was begun, `log` what it
says, `exit` its exit code. `full` beside them, with a number, makes so many starts fail for want of capacity; while `shut` is there,
what is started waits.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from orchestrator.sdk import Duration, Found, Job, JobExit, JobHandle, JobLost, JobTools, Json, LogSink, PhaseName, Spot, StartFailed, TaskRunner

TICK = 0.05
_SCRIPT = 'echo $$ > {folder}/pid; echo x >> {folder}/starts; "$@" > {folder}/log 2>&1; echo $? > {folder}/exit.new; mv {folder}/exit.new {folder}/exit'


class Yard(TaskRunner):
    """Runs a job as a process of nobody's."""

    tells_running: ClassVar[bool] = True
    backend_fields: ClassVar[tuple[str, ...]] = ("region",)

    region: str
    spot: Spot | None = None
    wait_until_running: Duration = timedelta(minutes=5)

    def backend(self) -> str:
        return f"yard:{self.region}"

    def price_key(self, job: Job) -> Mapping[str, Json] | None:
        return {"service": "acme-yard", "region": "here", "spot": self.spot is not None and self.spot.asks(job.attempt)}

    def _folder(self, key: str) -> Path:
        return Path(self.region) / key

    def prepare(self, job: Job) -> JobHandle:
        return JobHandle(key=job.key, runner=self.type, backend=self.backend())

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        folder = self._folder(job.key)
        tools.phase(PhaseName.PROVISIONING, "QUEUED")
        with suppress(FileExistsError):
            folder.mkdir()
            self._fill_up()
            while (Path(self.region) / "shut").exists() and not tools.cancelled():
                time.sleep(TICK)
            if tools.cancelled():
                return handle
            outside = ["/bin/sh", "-c", f"setsid sh -c '{_SCRIPT.format(folder=folder)}' sh \"$@\" & exit 0", "sh", *job.argv]
            subprocess.run(outside, env={**tools.environment(), **job.env}, cwd="/", check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not (folder / "starts").exists() and not tools.cancelled():
            time.sleep(TICK)
        tools.phase(PhaseName.RUNNING)
        return handle

    def _fill_up(self) -> None:
        full = Path(self.region) / "full"
        left = int(full.read_text()) if full.exists() else 0
        if left:
            full.write_text(str(left - 1))
            raise StartFailed("the yard is full", "CAPACITY")

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        folder, told = self._folder(handle.key), 0
        while True:
            is_over = (folder / "exit").exists()
            with suppress(FileNotFoundError):
                lines = (folder / "log").read_text().split("\n")[:-1]
                for offset, text in enumerate(lines[told:], told):
                    logs.line(text, stderr=False, offset=offset)
                told = max(told, len(lines))
            if is_over:
                return JobExit(code=int((folder / "exit").read_text()))
            if not folder.exists():
                raise JobLost("it is gone from the yard")
            time.sleep(TICK)

    def collect(self, job: Job, handle: JobHandle) -> None:
        """Its jobs have no files."""

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        folder = self._folder(handle.key)
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)
        if folder.exists() and not (folder / "exit").exists():
            (folder / "exit").write_text("137")

    def remove(self, handle: JobHandle) -> None:
        shutil.rmtree(self._folder(handle.key), ignore_errors=True)

    def ls(self, installation: str) -> Sequence[Found]:
        folders = [path for path in Path(self.region).iterdir() if path.is_dir()]
        return [Found(key=path.name, kind="job", name=path.name, state="ENDED" if (path / "exit").exists() else "RUNNING") for path in folders]

    def reap(self, installation: str, live: Callable[[str], bool]) -> Sequence[str]:
        gone = [found.key for found in self.ls(installation) if not live(found.key)]
        for key in gone:
            handle = JobHandle(key=key, runner=self.type, backend=self.backend())
            self.stop(handle, timedelta())
            self.remove(handle)
        return gone
