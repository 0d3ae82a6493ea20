"""Jobs as containers of a Docker engine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator.sdk import BadSettings, Found, Job, JobExit, JobHandle, JobLost, JobRejected, JobTools, LogSink, PhaseName, RunnerUnavailable, TaskRunner
from orchestrator.sdk.archive import Owner, packed, unpack
from orchestrator.sdk.globs import fixed_part, matches
from orchestrator_plugins.docker.following import followed
from orchestrator_plugins.docker.images import ensure_image
from orchestrator_plugins.docker.properties import DockerProperties
from orchestrator_plugins.docker.secrecy import can_hide, hidden, holds_secret, kept_file
from orchestrator_plugins.docker.shape import PREFIX, check_powers, container_config, found_in, labels_of_job

if TYPE_CHECKING:
    from orchestrator_plugins.docker.client import Engine

SOCKETS = ("/var/run/docker.sock", "/dind/docker.sock")
ROOT = "/orchestrator"  # the folder in a container below which working directories stand
KILLED = 137


@contextmanager
def opened(host: str) -> Iterator[Engine]:
    """A connection of one call's own: a stop need not wait for what another call is doing."""
    try:
        from orchestrator_plugins.docker.client import Engine
    except ModuleNotFoundError as err:
        raise BadSettings("the Docker runner needs a package that is not installed: pip install 'orchestrator[docker]'") from err
    engine = Engine(host)
    try:
        yield engine
    finally:
        engine.close()


class Docker(DockerProperties, TaskRunner):
    """Run in a container of a Docker engine, which goes on whatever becomes of the worker."""

    ephemeral: ClassVar[bool] = True
    reattaches: ClassVar[bool] = True
    remote_files: ClassVar[bool] = True

    def backend(self) -> str:
        return f"docker:{self._host()}"

    def _host(self) -> str:
        if self.host:
            return self.host if "://" in self.host else f"unix://{self.host}"
        return "unix://" + next((path for path in SOCKETS if os.path.exists(path)), SOCKETS[0])

    def working_dir(self, job_key: str, local: str) -> str:
        return local if self.file_handling_strategy == "MOUNT" else f"{ROOT}/{job_key}"

    def prepare(self, job: Job) -> JobHandle:
        if not job.image:
            raise JobRejected("a task on the Docker runner needs an image: set `containerImage`")
        return JobHandle(key=job.key, runner=self.type, backend=self.backend(), details={"host": self._host(), "container": job.key, "keep": self.keeps})

    def start(self, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        check_powers(self, tools.allows)
        with opened(self._host()) as engine:
            found = self._adoptable(engine, job)
            if found is None and handle.details.get("id") and self.resume:
                raise JobLost(f"container {handle.key} is gone: it was removed by someone else")
            if found is not None and found["State"]["Status"] != "created":
                tools.phase(PhaseName.RUNNING)
                return _known(handle, str(found["Id"]))
            return self._made(engine, job, handle, tools)

    def _adoptable(self, engine: Engine, job: Job) -> Mapping[str, Any] | None:
        """The container of this job, where an earlier start made it. Raises JobRejected when its name is another's."""
        found = engine.inspect(job.key)
        if found is None:
            return None
        labels = found["Config"]["Labels"] or {}
        mine = labels_of_job(job, self)
        if any(labels.get(name) != mine.get(name) for name in (f"{PREFIX}job", f"{PREFIX}installation")):
            raise JobRejected(f"the engine has a container named `{job.key}` that is not this run's; remove it or rename it")
        if self.resume:
            return found
        engine.remove(str(found["Id"]))
        return None

    def _made(self, engine: Engine, job: Job, handle: JobHandle, tools: JobTools) -> JobHandle:
        image = str(job.image)
        image_user = ensure_image(engine, self, image, tools)
        if image_user is None or tools.cancelled():
            return handle
        tools.phase(PhaseName.PROVISIONING)
        shown, secret = self._without_secrets(job)
        container = self._created(engine, shown, image)
        try:
            with kept_file(Path(job.working_dir), secret):
                self._put_files(engine, container, job, Owner.of(self.user or image_user))
            if tools.cancelled():
                engine.remove(container)
                return handle
            engine.start(container)
            if tools.cancelled():  # a stop that came while it was starting found nothing to stop
                engine.stop(container, 0)
        except (JobRejected, RunnerUnavailable):
            with suppress(RunnerUnavailable):
                engine.remove(container)
            raise
        tools.phase(PhaseName.RUNNING)
        return _known(handle, container)

    def _without_secrets(self, job: Job) -> tuple[Job, str | None]:
        """What may be shown, and what goes in as a file; a command that begins with no shell keeps its secrets in its environment."""
        if self.file_handling_strategy == "VOLUME" and holds_secret(job) and can_hide(job, self.entry_point):
            return hidden(job, self.working_dir(job.key, job.working_dir))
        return job, None

    def _created(self, engine: Engine, job: Job, image: str) -> str:
        from orchestrator_plugins.docker.client import NameTaken

        config = container_config(job, self, image=image, working_dir=self.working_dir(job.key, job.working_dir))
        try:
            return engine.create(job.key, config)
        except NameTaken:
            found = self._adoptable(engine, job)
            return str(found["Id"]) if found is not None else engine.create(job.key, config)
        except JobRejected as err:
            if "bind source path does not exist" in str(err):
                remedy = "`fileHandlingStrategy: MOUNT` needs an engine that sees the worker's files; use VOLUME"
                raise JobRejected(f"the engine at {self._host()} has no folder {job.working_dir}: {remedy}") from err
            raise

    def _put_files(self, engine: Engine, container: str, job: Job, owner: Owner) -> None:
        if self.file_handling_strategy == "MOUNT":
            return
        with packed(Path(job.working_dir), self.working_dir(job.key, job.working_dir), owner, leave_out=job.output_dir) as tar:
            engine.put(container, "/", tar)

    def wait(self, handle: JobHandle, logs: LogSink) -> JobExit:
        container = handle.details.get("id")
        with opened(_host_of(handle)) as engine:
            known = engine.inspect(str(container or handle.details["container"]))
            if known is None and container is not None:
                raise JobLost(f"container {handle.key} is gone: it was removed by someone else")
            if known is None or known["State"]["Status"] == "created":
                return JobExit(code=KILLED, reason="stopped before it was started")
            if not self.wait_:
                return JobExit(code=0, details={"containerId": known["Id"]})
        return followed(lambda: opened(_host_of(handle)), str(known["Id"]), logs)

    def collect(self, job: Job, handle: JobHandle) -> None:
        if self.file_handling_strategy == "MOUNT" or not self.wait_:
            return
        patterns = [*job.output_files, *([f"{job.output_dir}/**"] if job.output_dir else [])]
        inside = PurePosixPath(self.working_dir(job.key, job.working_dir))
        with opened(_host_of(handle)) as engine:
            for part in _outermost(fixed_part(pattern) for pattern in patterns):
                chunks = engine.get(handle.key, str(inside / part) if part else f"{inside}/.")
                if chunks is not None:
                    beside = PurePosixPath(part).parent if part else PurePosixPath()
                    unpack(chunks, beside, Path(job.working_dir), lambda name: any(matches(pattern, name) for pattern in patterns))

    def stop(self, handle: JobHandle, grace: timedelta) -> None:
        """The task's own `killGracePeriod` says how long, and by default not at all; `grace` is for runners without one."""
        with opened(_host_of(handle)) as engine:
            engine.stop(str(handle.details.get("id") or handle.details["container"]), math.ceil(self.kill_grace_period.total_seconds()))

    def remove(self, handle: JobHandle) -> None:
        if not handle.details.get("keep"):
            with opened(_host_of(handle)) as engine:
                engine.remove(str(handle.details.get("id") or handle.details["container"]))

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


def _host_of(handle: JobHandle) -> str:
    return str(handle.details["host"])


def _outermost(parts: Iterator[str]) -> list[str]:
    """The paths with none that lies below another of them."""
    found: list[str] = []
    for part in sorted(set(parts)):
        if not any(above == "" or part == above or part.startswith(above + "/") for above in found):
            found.append(part)
    return found
