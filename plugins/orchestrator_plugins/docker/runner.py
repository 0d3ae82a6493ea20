"""Jobs as containers of a Docker engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import ClassVar

from pydantic import PrivateAttr

from orchestrator.sdk import Found, Job, JobExit, JobHandle, JobRejected, JobTools, Json, LogSink, PhaseName, RunnerUnavailable, TaskRunner
from orchestrator.sdk.archive import unpack
from orchestrator.sdk.globs import fixed_part, matches
from orchestrator_plugins.docker.engines import address, gone, identity, is_of_this_machine, opened
from orchestrator_plugins.docker.following import followed
from orchestrator_plugins.docker.making import Making
from orchestrator_plugins.docker.properties import DockerProperties
from orchestrator_plugins.docker.shape import PREFIX, check_powers, found_in

ROOT = "/orchestrator"  # the folder in a container below which working directories stand
KILLED = 137


class Docker(DockerProperties, TaskRunner):
    """Run in a container of a Docker engine, which goes on whatever becomes of the worker."""

    ephemeral: ClassVar[bool] = True
    reattaches: ClassVar[bool] = True
    remote_files: ClassVar[bool] = True

    _begun: str | None = PrivateAttr(None)  # the container that this very instance has begun

    def backend(self) -> str:
        """The engine by its id: several workers and addresses may share one, and another may come to stand at the same address."""
        try:
            return identity(self._host()).backend
        except RunnerUnavailable:
            return f"docker:{self._host()}"

    def price_key(self, job: Job) -> Mapping[str, Json] | None:
        return {"service": "own-machine"}

    def _host(self) -> str:
        return address(self.host)

    def working_dir(self, job_key: str, local: str) -> str:
        return local if self.file_handling_strategy == "MOUNT" else f"{ROOT}/{job_key}"

    def prepare(self, job: Job) -> JobHandle:
        if not job.image:
            raise JobRejected("a task on the Docker runner needs an image: set `containerImage`")
        details = {"container": job.key, "keep": self.keeps}
        return JobHandle(key=job.key, runner=self.type, backend=identity(self._host()).backend, bound=is_of_this_machine(self._host()), details=details)

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        check_powers(self, tools.allows)
        with opened(self._host()) as engine:
            making = Making(engine, self, job, tools, host=self._host(), working_dir=self.working_dir(job.key, job.working_dir))
            found = making.adoptable()
            if found is None and self.resume and (handle.details.get("id") or handle.backend != self.backend()):
                raise gone(handle, self._host())
            if found is not None and found["State"]["Status"] != "created":
                tools.phase(PhaseName.RUNNING)
                return _known(handle, str(found["Id"]))
            self._begun = making.made()
            return handle if self._begun is None else _known(handle, self._begun)

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        container = self._begun or self._running(handle)
        if container is None:
            return JobExit(code=KILLED, reason="stopped before it was started")
        if not self.wait_:
            return JobExit(code=0, details={"containerId": container})
        return followed(lambda: opened(self._host()), container, logs)

    def _running(self, handle: JobHandle) -> str | None:
        """The id of a container that was begun. Raises JobLost."""
        with opened(self._host()) as engine:
            known = engine.inspect(_named(handle))
        if known is None and handle.details.get("id") is not None:
            raise gone(handle, self._host())
        return None if known is None or known["State"]["Status"] == "created" else str(known["Id"])

    def collect(self, job: Job, handle: JobHandle) -> None:
        if self.file_handling_strategy == "MOUNT" or not self.wait_:
            return
        patterns = [*job.output_files, *([f"{job.output_dir}/**"] if job.output_dir else [])]
        inside = PurePosixPath(self.working_dir(job.key, job.working_dir))
        with opened(self._host()) as engine:
            for part in _outermost(fixed_part(pattern) for pattern in patterns):
                chunks = engine.get(handle.key, str(inside / part) if part else f"{inside}/.")
                if chunks is not None:
                    beside = PurePosixPath(part).parent if part else PurePosixPath()
                    unpack(chunks, beside, Path(job.working_dir), lambda name: any(matches(pattern, name) for pattern in patterns))

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        """The task's own `killGracePeriod` says how long, and by default not at all; `grace` is for runners without one."""
        with opened(self._host()) as engine:
            engine.stop(_named(handle), math.ceil(self.kill_grace_period.total_seconds()))

    def remove(self, handle: JobHandle) -> None:
        if not handle.details.get("keep"):
            with opened(self._host()) as engine:
                engine.remove(_named(handle))

    def ls(self, installation: str) -> Sequence[Found]:
        """Every container of an installation on this engine, in whatever state."""
        with opened(self._host()) as engine:
            return [found_in(container) for container in engine.labelled(f"{PREFIX}installation={installation}")]

    def reap(self, installation: str, live: Callable[[str], bool]) -> Sequence[str]:
        """Remove every container of an installation whose job is not live; those to keep are passed over."""
        orphans = [found for found in self.ls(installation) if not (found.keep or live(found.key))]
        with opened(self._host()) as engine:
            for orphan in orphans:
                engine.remove(orphan.name)
        return [orphan.key for orphan in orphans]


def _known(handle: JobHandle, container: str) -> JobHandle:
    return handle.model_copy(update={"details": {**handle.details, "id": container}})


def _named(handle: JobHandle) -> str:
    return str(handle.details.get("id") or handle.details["container"])


def _outermost(parts: Iterator[str]) -> list[str]:
    """The paths with none that lies below another of them."""
    found: list[str] = []
    for part in sorted(set(parts)):
        if not any(above == "" or part == above or part.startswith(above + "/") for above in found):
            found.append(part)
    return found
