"""A data folder belongs to one server at a time: whoever holds its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from orchestrator.errors import BadSettings, Conflict

LOCK = "launcher.lock"
ROTATION = "rotate-token"  # a file that asks for a new token of the cluster


def claim(data: Path) -> IO[str]:
    """Make the folder where it is missing and hold it until the file given back is closed, or this process ends.

    Raises BadSettings when it cannot be used, Conflict while another server holds it.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(data / LOCK, "a+")  # noqa: SIM115 - held for life
    except OSError as err:
        raise unusable(data, err) from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        lock.close()
        raise Conflict(f"a server already runs on {data}: stop it with `orchestrator server stop`, or name another folder with --data") from err
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def is_held(data: Path) -> bool:
    """Whether a server holds the folder."""
    try:
        with (data / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def holder(data: Path) -> int | None:
    """The process that held the folder last; it holds it now where `is_held` says so."""
    try:
        return int((data / LOCK).read_text())
    except (OSError, ValueError):
        return None


def ask_rotation(data: Path) -> None:
    """Ask whoever holds the folder for a new token of the cluster, and a new cluster with it."""
    (data / ROTATION).touch(mode=0o600)


def rotation_asked(data: Path) -> bool:
    return (data / ROTATION).exists()


def rotated(data: Path) -> None:
    """The old token is gone: forget that a new one was asked for."""
    (data / ROTATION).unlink(missing_ok=True)


def unusable(data: Path, err: OSError) -> BadSettings:
    """What to say of a folder that cannot be written."""
    return BadSettings(f"the data folder {data} cannot be used ({err.strerror}): make it writable for this user, or name another (--data, ORCHESTRATOR_DATA)")
