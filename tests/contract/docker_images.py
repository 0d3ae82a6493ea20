"""Images of the tests' own, made without a registry."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

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
