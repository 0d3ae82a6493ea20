"""A data folder belongs to one server at a time: whoever holds its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from orchestrator.errors import BadSettings, Conflict

LOCK = "launcher.lock"


def claim(data: Path) -> IO[str]:
    """Make the folder where it is missing and hold it until the file given back is closed, or this process ends.

    Raises BadSettings when it cannot be used, Conflict while another server holds it.
    """
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = open(data / LOCK, "a+")  # noqa: SIM115 - held for life
    except OSError as err:
        raise BadSettings(f"the data folder {data} cannot be used: {err.strerror}") from err
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        lock.close()
        raise Conflict(f"a server already runs on {data}; stop it, or name another folder with --data") from err
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
