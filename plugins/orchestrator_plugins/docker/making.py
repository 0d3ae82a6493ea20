"""From a job to its running container, once, whoever is called to start it again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orchestrator.sdk import Job, JobRejected, JobTools, Json, PhaseName, RunnerUnavailable, StartFailed
from orchestrator.sdk.archive import Owner, is_to_be_packed, packed
from orchestrator_plugins.docker.images import ensure_image
from orchestrator_plugins.docker.properties import DockerProperties
from orchestrator_plugins.docker.secrecy import SHELL, hidden, holds_secret, kept_file, put_file
from orchestrator_plugins.docker.shape import PREFIX, container_config, labels_of_job

if TYPE_CHECKING:
    from orchestrator_plugins.docker.client import Engine

NAME_PATIENCE, NAME_PAUSE = 10.0, 0.05  # seconds
OURS = 5.0  # seconds after which someone else may have been sent the same job: less than a lease
UNSEEN = "`fileHandlingStrategy: MOUNT` needs an engine that sees the worker's files, and the one at {host} does not see {folder}; use VOLUME"
SHELL_LESS = "image `{image}` has no /bin/sh, through which secrets come without the engine showing them: use one that has, or let the command fetch its secret"
NEVER_STARTS = ("could not select device driver", "executable file not found", "no such file or directory", "permission denied", "invalid")
FULL = ("no space left", "already allocated", "address already in use", "cannot allocate memory", "resource temporarily unavailable")
GOING = frozenset({"removing", "dead"})


@dataclass(frozen=True)
class Making:
    """One job on its way into a container of an engine at `host`. `working_dir` is the folder as the command sees it."""

    engine: Engine
    properties: DockerProperties
    job: Job
    tools: JobTools
    host: str
    working_dir: str

    @property
    def _is_mounted(self) -> bool:
        return self.properties.file_handling_strategy == "MOUNT"

    def made(self) -> str | None:
        """The id of the running container; None when cancelled meanwhile. Raises JobRejected, StartFailed, RunnerUnavailable."""
        image = str(self.job.image)
        image_user = ensure_image(self.engine, self.properties, image, self.tools)
        if image_user is None or self.tools.cancelled():
            return None
        self.tools.phase(PhaseName.PROVISIONING)
        shown, secret = hidden(self.job, self.properties.entry_point, self.working_dir) if holds_secret(self.job) else (self.job, None)
        config = container_config(shown, self.properties, image=image, working_dir=self.working_dir, is_bare=secret is not None)
        asked = time.monotonic()
        with _told_as_start_failure():
            container, is_new = self._created(config)
        try:
            with _told_as_start_failure():
                if is_new or not self._is_begun(container):
                    self._put_files(container, Owner.of(self.properties.user or image_user), secret)
                return self._begun(container, is_ours=is_new and time.monotonic() - asked < OURS)
        except Exception as err:
            with suppress(RunnerUnavailable):
                self.engine.remove(container)
            if secret is not None and SHELL in str(err):
                raise JobRejected(SHELL_LESS.format(image=image)) from err
            raise

    def _begun(self, container: str, *, is_ours: bool) -> str | None:
        """`is_ours`: nobody else can have begun it meanwhile."""
        if self.tools.cancelled():
            self.engine.remove(container)
            return None
        if is_ours or not self._is_begun(container):  # one that has ended would run a second time
            self.engine.start(container)
        if self.tools.cancelled():  # a stop that came while it was starting found nothing to stop
            self.engine.stop(container, 0)
        self.tools.phase(PhaseName.RUNNING)
        return container

    def _is_begun(self, container: str) -> bool:
        found = self.engine.inspect(container)
        return found is not None and found["State"]["Status"] != "created"

    # --- the container

    def adoptable(self) -> Mapping[str, Any] | None:
        """The container of this job, where an earlier start made it. Raises JobRejected when its name is another's."""
        found = self.engine.inspect(self.job.key)
        if found is None or found["State"]["Status"] in GOING:
            return None
        labels = found["Config"]["Labels"] or {}
        mine = labels_of_job(self.job, self.properties)
        if any(labels.get(name) != mine.get(name) for name in (f"{PREFIX}job", f"{PREFIX}installation")):
            raise JobRejected(f"the engine has a container named `{self.job.key}` that is not this run's; remove it or rename it")
        if self.properties.resume:
            return found
        self.engine.remove(str(found["Id"]))
        return None

    def _created(self, config: Mapping[str, Json]) -> tuple[str, bool]:
        try:
            return self._created_or_found(config)
        except JobRejected as err:
            if "bind source path does not exist" in str(err):
                raise JobRejected(UNSEEN.format(host=self.host, folder=self.job.working_dir)) from err
            raise

    def _created_or_found(self, config: Mapping[str, Json]) -> tuple[str, bool]:
        """A container's id, and whether it was made just now.

        The engine keeps a name from the moment on at which somebody asks for it, and shows the container a little later."""
        from orchestrator_plugins.docker.client import NameTaken

        deadline = time.monotonic() + NAME_PATIENCE
        while True:
            try:
                return self.engine.create(self.job.key, config), True
            except NameTaken:
                if (found := self.adoptable()) is not None:
                    return str(found["Id"]), False
                if time.monotonic() > deadline:
                    raise StartFailed(f"the engine has the name {self.job.key} taken by a container that it does not show", "SERVICE") from None
            time.sleep(NAME_PAUSE)

    # --- its files

    def _put_files(self, container: str, owner: Owner, secret: str | None) -> None:
        folder = Path(self.job.working_dir)
        if self._is_mounted:
            self._check_mount(container, folder)
            if secret is not None:
                put_file(folder, secret)  # the command removes it
            return
        with kept_file(folder, secret):
            if is_to_be_packed(folder, owner):  # for what is empty the engine makes the folder itself, in a tenth of the time
                with packed(folder, self.working_dir, owner, leave_out=self.job.output_dir) as tar:
                    self.engine.put(container, "/", tar)

    def _check_mount(self, container: str, folder: Path) -> None:
        """An engine on another machine may well have a folder of that name: a file of ours in it tells."""
        mark = folder / f".seen-{uuid4().hex}"
        mark.touch()
        try:
            is_seen = self.engine.has(container, str(mark))
        finally:
            mark.unlink()
        if not is_seen:
            raise JobRejected(UNSEEN.format(host=self.host, folder=folder))


@contextmanager
def _told_as_start_failure() -> Iterator[None]:
    """What the engine itself could not do, sorted by whether another start may help."""
    from orchestrator_plugins.docker.client import EngineFailed

    try:
        yield
    except EngineFailed as err:
        said = str(err).lower()
        if any(word in said for word in NEVER_STARTS):
            raise JobRejected(str(err)) from err
        raise StartFailed(str(err), "CAPACITY" if any(word in said for word in FULL) else "SERVICE") from err
