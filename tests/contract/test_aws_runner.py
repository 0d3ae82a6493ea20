"""Jobs of AWS Batch keep the contract of task runners: real containers, under an emulator of the services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from orchestrator.sdk import TaskRunner
from orchestrator.sdk.testing import RunnerContract
from orchestrator_plugins.aws.emulator import Account, Emulator
from tests.contract.aws_site import IMAGE, emulated, left, runner_of

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[Emulator, Account]]:
    with emulated() as made:
        yield made


class TestAwsBatch(RunnerContract):
    @pytest.fixture(autouse=True)
    def here(self, site: tuple[Emulator, Account]) -> None:
        self.aws, self.account = site

    @pytest.fixture
    def runner(self) -> TaskRunner:
        return runner_of(self.aws, self.account)

    @pytest.fixture
    def image(self) -> str | None:
        return IMAGE

    def leftovers(self, run: str) -> Sequence[str]:
        return left(self.aws, self.account, run)
