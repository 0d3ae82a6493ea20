"""Processes of ours that know nothing of the job they were started from: not its folder, its modules nor its runtime environment.

Ray puts a driver's working directory and PYTHONPATH on the path of every actor that it makes, for as long as the actor
lives. Where that were a user's folder, a module there with the name of one of ours would be loaded in its place.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping

from orchestrator.errors import Unavailable

_OF_THE_JOB = ("RAY_JOB", "RAY_RUNTIME_ENV", "RAY_CLIENT_MODE", "RAY_ADDRESS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PWD", "OLDPWD")
LOOK = 0.05  # seconds between two looks at the process


def command(module: str, *arguments: str) -> list[str]:
    """The command line of a module of ours, that takes no module from where it is started."""
    return [sys.executable, "-P", "-m", module, *arguments]


def folder() -> str:
    """Where such a process is started: a folder without modules, which nobody but the owner of this installation can put any in."""
    return sys.prefix


def surroundings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what a job put there."""
    return {key: value for key, value in environ.items() if not key.startswith(_OF_THE_JOB)}


def run(module: str, *arguments: str, environ: Mapping[str, str], within: float, given_up: Callable[[], bool] = lambda: False) -> tuple[int, str, str]:
    """Run a module of ours to its end: exit code, stdout, stderr. Raises Unavailable after `within` seconds, or once `given_up`."""
    process = subprocess.Popen(  # noqa: S603
        command(module, *arguments),
        env=surroundings(environ),
        cwd=folder(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + within
    try:
        while True:
            try:
                said, complained = process.communicate(timeout=LOOK)
            except subprocess.TimeoutExpired:
                if given_up():
                    raise Unavailable("told to stop while starting") from None
                if time.monotonic() > deadline:
                    raise Unavailable(f"the Ray cluster did not take our actors within {within:.0f} s") from None
            else:
                return process.returncode, said, complained
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
