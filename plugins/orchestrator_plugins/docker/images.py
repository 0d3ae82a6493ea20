"""Having the image before the container is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import TYPE_CHECKING

from orchestrator.sdk import JobRejected, JobTools, PhaseName
from orchestrator_plugins.docker.properties import DockerProperties
from orchestrator_plugins.docker.shape import registry_login

if TYPE_CHECKING:
    from orchestrator_plugins.docker.client import Engine

PAUSES = (5.0, 10.0, 20.0, 40.0, 80.0)  # seconds before each further try of a pull
LOOK = 0.25  # seconds between looks at whether the job was cancelled meanwhile


def ensure_image(engine: Engine, properties: DockerProperties, image: str, tools: JobTools) -> str | None:
    """The user that the image runs as, once the engine has it as the pull policy asks; None when cancelled meanwhile.

    Raises JobRejected when it cannot be had.
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

    login = registry_login(properties, image)
    for pause in (*PAUSES, None):
        try:
            if not _unless_cancelled(lambda: engine.pull(image, login, tools.cancelled), tools):
                return None
            return engine.image_user(image)
        except PullFailed as err:
            if err.lasting or pause is None:
                remedy = "check its name and tag, the registry's login (`credentials`), and that the engine reaches the registry"
                raise JobRejected(f"image `{image}` not found: it is not on the engine and cannot be pulled ({err}); {remedy}") from err
            if not _rested(pause, tools):
                return None
    return None


def _unless_cancelled(work: Callable[[], None], tools: JobTools) -> bool:
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
        if tools.cancelled():
            return False
    if failed:
        raise failed[0]
    return not tools.cancelled()


def _rested(seconds: float, tools: JobTools) -> bool:
    """Wait; whether the job is still wanted then."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not tools.cancelled():
        time.sleep(LOOK)
    return not tools.cancelled()
