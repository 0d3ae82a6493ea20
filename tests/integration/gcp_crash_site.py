"""Crash points of jobs on the emulator of Google Batch under a real server: who watches them is killed, the executor, or both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator_plugins.gcp.emulator import Emulator
from tests.contract.gcp_site import BUCKET, IMAGE, an_emulator, objects, on_machines
from tests.integration.crash_points import Backend, CrashSite, crash_site

POINTS = (
    "asked",
    "named",
    "handle saved",
    "after put",
    "after create",
    "running",
    "to be watched",
    "line 0 taken",
    "line 3 taken",
    "line 6 taken",
    "end seen",
    "to be collected",
    "after has",
    "after bring_back",
    "outcome saved",
    "after delete",
    "after delete_below",
    "removed",
)


def _backend(emulator: Emulator) -> Backend:
    where = {"endpointOverride": emulator.url, "projectId": "p1", "region": "r1", "bucket": BUCKET}
    quick = {"completionCheckInterval": "PT0.3S", "waitForLogInterval": "PT1S"}
    properties = ", ".join(f"{name}: {json.dumps(value)}" for name, value in {**where, **quick}.items())

    def of(execution_id: str) -> list[str]:
        return [job.name.rpartition("/")[2] for job in emulator.jobs.asked if job.labels["kestra-execution-id"] == execution_id.lower()]

    def created(execution_id: str, since: float) -> int:
        return len(of(execution_id))

    def left(execution_id: str) -> Sequence[str]:
        keys = of(execution_id)
        stored = [name for name in objects(emulator) if name.split("/")[1] in keys]
        return [*(key for key in keys if key in emulator.jobs.present()), *stored, *on_machines(emulator, f"kestra-execution-id={execution_id.lower()}")]

    return Backend("test.HaltingGoogleBatch", IMAGE, properties, POINTS, created, left)


@contextmanager
def google_crash_site(folder: Path) -> Iterator[CrashSite]:
    """A site with a server and an emulator of its own."""
    with an_emulator() as emulator, crash_site(folder, "gcp", _backend(emulator)) as site:
        yield site
