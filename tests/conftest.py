"""What a test needs of its machine: passed over where it is missing, and a failure where `CI=true` promises it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from typing import NoReturn

import pytest

MARKED = {"docker": "a Docker engine that answers `docker version`"}


def missing(what: str) -> NoReturn:
    """End the test for want of `what`: skipped on a person's machine, failed where `CI=true`."""
    message = f"needs {what}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@cache
def docker_answers() -> bool:
    """Whether an engine can be used from here; asked once for all tests."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        return subprocess.run([docker, "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=20, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("docker") is not None and not docker_answers():
        missing(MARKED["docker"])
