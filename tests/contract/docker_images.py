"""Images of the tests' own, made without a registry."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator.sdk.testing import RunnerSite

BUSYBOX = "test/busybox"
MISSING = "no/such:1.2.3"


def docker(*arguments: str, given: str | None = None) -> str:
    """What the engine's own command line answers."""
    return subprocess.run(["docker", *arguments], input=given, capture_output=True, text=True, check=True, timeout=60).stdout


@contextmanager
def changed_image(change: str) -> Iterator[str]:
    """The busybox image with one more instruction, while it is wanted."""
    name = f"test/changed-{uuid.uuid4().hex[:12]}"
    made = docker("create", "--label", "test.run=images", BUSYBOX, "true").strip()
    docker("commit", "--change", change, made, name)
    docker("rm", "-f", made)
    try:
        yield name
    finally:
        docker("rmi", "-f", name)


class MadeHere(RunnerSite):
    """Where a runner's contract takes its images from: of the machine's own engine, none from a registry."""

    @pytest.fixture
    def image(self) -> str | None:
        return BUSYBOX

    @pytest.fixture
    def unprivileged_image(self) -> Iterator[str | None]:
        with changed_image("USER 1234:5678") as made:
            yield made

    @pytest.fixture
    def missing_image(self) -> str | None:
        return MISSING
