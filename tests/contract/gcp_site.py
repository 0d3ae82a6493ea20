"""An emulator of Google Cloud for tests, and runners that use it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator_plugins.gcp.emulator import Emulator
from orchestrator_plugins.gcp.runner import Batch
from tests.conftest import missing
from tests.contract.docker_images import docker

IMAGE = "test/busybox"
BUCKET = "staging"


def need_docker() -> None:
    """Passes over a test where no engine with the test image answers; where CI is set that is a failure."""
    asked = ["docker", "image", "inspect", IMAGE]
    found = shutil.which("docker") is not None and subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode == 0
    if not found:
        missing(f"a Docker engine with the image {IMAGE}")


@contextmanager
def an_emulator(**more: Any) -> Iterator[Emulator]:
    """One whose machines have the test images; nothing of it stays."""
    need_docker()
    with Emulator(**{"images": {"busybox": IMAGE}, **more}) as made:
        yield made
    assert on_machines(made) == []


def on_machines(emulator: Emulator, label: str | None = None) -> list[str]:
    """The containers and volumes of an emulator's machines that are there, or those of them with a label."""
    wanted = ["--filter", f"label={label or f'orchestrator.gcp-emulator={emulator.id}'}"]
    return [*docker("ps", "-aq", *wanted).split(), *docker("volume", "ls", "-q", *wanted).split()]


def google(emulator: Emulator, **properties: Any) -> Batch:
    """A runner that looks often."""
    quick = {"completionCheckInterval": "PT0.2S", "waitForLogInterval": "PT0.3S"}
    where = {"endpointOverride": emulator.url, "projectId": "p1", "region": "europe-west1", "bucket": BUCKET}
    return Batch.model_validate({**where, **quick, **properties})


def objects(emulator: Emulator, prefix: str = "") -> list[str]:
    """The names of the objects in the bucket."""
    return list(emulator.storage.buckets.names(BUCKET, prefix))


def described(emulator: Emulator, key: str) -> str:
    """All that GetJob and ListTasks show of a job."""
    with_names = {name: run for name, run in emulator.jobs._runs.items() if name.endswith(f"/{key}")}
    return json.dumps([[str(run.shown()), str(run.shown_task())] for run in with_names.values()])
