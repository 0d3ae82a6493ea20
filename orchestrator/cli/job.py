"""A command that is itself a job of a Ray cluster."""

from __future__ import annotations

import sys
from pathlib import Path

_UNPACKED = "runtime_resources"  # the folder of a Ray session where jobs' working directories are unpacked


def leave_its_modules() -> None:
    """Take the job's working directory off the path of modules: a folder there with the name of one of ours would be loaded in its place."""
    sys.path[:] = [place for place in sys.path if _UNPACKED not in Path(place or ".").absolute().parts]
