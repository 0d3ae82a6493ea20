"""Where jobs of AWS Batch are tried by the contract of task runners: real containers, under an emulator of the services."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from orchestrator.sdk import TaskRunner
from orchestrator_plugins.aws.emulator import Account, Emulator
from tests.contract.aws_site import emulated, left, runner_of
from tests.contract.docker_images import MadeHere


class AwsRunnerSite(MadeHere):
    many_lines: ClassVar[int] = 5_000
    exit_codes: ClassVar[Sequence[int]] = (0, 3, 255)  # each is a job of two containers
    signals: ClassVar[Sequence[int]] = (9,)

    @pytest.fixture(scope="class")
    @classmethod
    def site(cls) -> Iterator[tuple[Emulator, Account]]:
        with emulated() as made:
            yield made

    @pytest.fixture(autouse=True)
    def here(self, site: tuple[Emulator, Account]) -> None:
        self.aws, self.account = site

    @pytest.fixture
    def runner(self) -> TaskRunner:
        return runner_of(self.aws, self.account)

    @pytest.fixture
    def bounded_runner(self) -> TaskRunner | None:
        name = f"ec2-{uuid.uuid4().hex[:8]}"
        ec2 = self.aws.furnish(environment=name, queue=name, bucket=self.account.bucket, kind="EC2")
        return runner_of(self.aws, ec2, bucket=None, resources={"request": {"cpu": "1", "memory": "16"}})

    def leftovers(self, run: str) -> Sequence[str]:
        return left(self.aws, self.account, run)
