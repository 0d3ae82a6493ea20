"""Jobs of the Google Batch emulator keep the contract of task runners, and some promises of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from orchestrator.sdk import TaskRunner
from orchestrator.sdk.testing import RunnerContract
from orchestrator_plugins.gcp.emulator import Emulator
from orchestrator_plugins.gcp.runner import Batch

IMAGE = "test/busybox"
pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator(images={"busybox": IMAGE}) as made:
        yield made


class TestGoogleBatch(RunnerContract):
    @pytest.fixture
    def runner(self, emulator: Emulator) -> TaskRunner:
        return Batch.model_validate({
            "endpointOverride": emulator.url, "projectId": "p1", "region": "europe-west1", "bucket": "staging",
            "completionCheckInterval": "PT0.2S", "waitForLogInterval": "PT0.3S"})

    @pytest.fixture
    def image(self) -> str | None:
        return IMAGE

    def leftovers(self, run: str) -> Sequence[str]:
        return ()
