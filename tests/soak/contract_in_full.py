"""The contract of task runners in full sizes, on all four: part of `make soak`, or

pytest --timeout 1800 tests/soak/contract_in_full.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from orchestrator.sdk.testing import RunnerContract
from tests.contract import test_docker_runner, test_gcp_runner, test_process_runner
from tests.contract.aws_runner_site import AwsRunnerSite

pytestmark = test_docker_runner.pytestmark
docker_engine = test_docker_runner.docker_engine
emulator = test_gcp_runner.emulator


class FullSizes:
    """What the contract asks for, unabridged."""

    exit_codes: ClassVar[Sequence[int]] = range(256)
    signals: ClassVar[Sequence[int]] = (1, 2, 6, 8, 9, 11, 13, 14, 15)  # not 3: an engine that a shell started in its background ignores it, and its containers
    many_lines: ClassVar[int] = 200_000
    big_file_mib: ClassVar[int] = 1024
    long_line: ClassVar[int] = 16_000_000


class TestDockerInFull(FullSizes, test_docker_runner.TestDocker):
    """Containers."""


class TestProcessInFull(FullSizes, test_process_runner.TestProcessUnderTheWorkersSpawner):
    """Processes of a worker."""


class OnClouds(FullSizes):
    """There a shell runs the command beside itself, and so it begins with SIGINT and SIGQUIT ignored: `docs/runners` says so."""

    signals: ClassVar[Sequence[int]] = (1, 6, 8, 9, 11, 13, 14, 15)


class TestAwsInFull(OnClouds, AwsRunnerSite, RunnerContract):
    """Jobs of AWS Batch, on the emulator."""


class TestGoogleInFull(OnClouds, test_gcp_runner.TestGoogleBatch):
    """Jobs of Google Batch, on the emulator."""
