"""Having the image before the container is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING

from orchestrator.sdk import JobRejected, JobTools, PhaseName, StartFailed, format_duration
from orchestrator_plugins.docker.properties import DockerProperties
from orchestrator_plugins.docker.shape import registry_login

if TYPE_CHECKING:
    from orchestrator_plugins.docker.client import Engine

PAUSES = (5.0, 10.0, 20.0, 40.0, 80.0)  # seconds before each further try of a pull
LOOK = 0.25  # seconds between looks at whether the job was cancelled meanwhile


def ensure_image(engine: Engine, properties: DockerProperties, image: str, tools: JobTools) -> str | None:
    """The user that the image runs as, once the engine has it as the pull policy asks; None when cancelled meanwhile.

    Raises JobRejected when it can never be had, StartFailed when it may be had another time.
    """
    user = engine.image_user(image)
    if properties.pull_policy == "NEVER" and user is None:
        raise JobRejected(f"image `{image}` not found on the engine, and `pullPolicy: NEVER` forbids to pull it: load it there, or choose IF_NOT_PRESENT")
    if properties.pull_policy == "NEVER" or (properties.pull_policy == "IF_NOT_PRESENT" and user is not None):
        return user
    tools.phase(PhaseName.IMAGE, image)
    return _pulled(engine, properties, image, tools)


def _pulled(engine: Engine, properties: DockerProperties, image: str, tools: JobTools) -> str | None:
    from orchestrator_plugins.docker.client import PullFailed

    login, wanted = registry_login(properties, image), _Wanted(image, properties.wait_until_running, tools)
    for pause in (*PAUSES, None):
        try:
            if not wanted.meanwhile(lambda: engine.pull(image, login, wanted.is_off)):
                return None
            return engine.image_user(image)
        except PullFailed as err:
            if err.lasting:
                remedy = "check its name and tag, the registry's login (`credentials`), and that the engine reaches the registry"
                raise JobRejected(f"image `{image}` not found: it is not on the engine and cannot be pulled ({err}); {remedy}") from err
            if pause is None:
                raise StartFailed(f"image `{image}` cannot be pulled: {err}", "IMAGE") from err
            if not wanted.after(pause):
                return None
    return None


class _Wanted:
    """Whether an image is still wanted: the job is not cancelled, and its bound not reached."""

    def __init__(self, image: str, bound: timedelta, tools: JobTools) -> None:
        self._image, self._bound, self._tools = image, bound, tools
        self._deadline = time.monotonic() + bound.total_seconds()

    def is_off(self) -> bool:
        """Whether a pull may be given up."""
        return self._tools.cancelled() or time.monotonic() > self._deadline

    def meanwhile(self, work: Callable[[], None]) -> bool:
        """Do it on a thread of its own: a registry that does not answer must not hold up a kill. Whether it was done."""
        over, failed = Event(), list[BaseException]()

        def run() -> None:
            try:
                work()
            except BaseException as err:
                failed.append(err)
            over.set()

        Thread(target=run, name="pull", daemon=True).start()
        while not over.wait(LOOK):
            if self._tools.cancelled():
                return False
            self._check_bound()
        if failed:
            raise failed[0]
        return not self._tools.cancelled()

    def after(self, seconds: float) -> bool:
        """Wait; whether the job is still wanted then."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._tools.cancelled():
            self._check_bound()
            time.sleep(LOOK)
        return not self._tools.cancelled()

    def _check_bound(self) -> None:
        if time.monotonic() > self._deadline:
            raise StartFailed(f"image `{self._image}` was not pulled within {format_duration(self._bound)} (`waitUntilRunning`)", "BOUND")
