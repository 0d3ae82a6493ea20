"""A sample of the crash points of `make soak` on Google Batch: whoever dies in the middle of a job, it ran once and was heard once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_plugins.gcp.emulator import Emulator
from tests.contract.gcp_site import an_emulator
from tests.integration.gcp_crashes import POINTS, GoogleCrashes

pytestmark = pytest.mark.docker
SAMPLE = ("after client.BatchClient.create", "after reading.Reading._tell 2", "before client.BatchClient.delete")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with an_emulator() as made:
        yield made


@pytest.mark.parametrize("point", SAMPLE)
def test_a_job_whose_supervisor_dies_ran_once_and_was_heard_once(emulator: Emulator, tmp_path: Path, point: str) -> None:
    assert point in POINTS
    GoogleCrashes(emulator, tmp_path).crash(point)
