"""The contract of task runners in full sizes, on the runners of this machine: part of `make soak`, or

pytest --timeout 1200 tests/soak/contract_in_full.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tests.contract import test_docker_runner, test_process_runner

pytestmark = test_docker_runner.pytestmark
docker_engine = test_docker_runner.docker_engine


class TestDockerInFull(test_docker_runner.TestDocker):
    exit_codes: ClassVar[Sequence[int]] = range(256)
    signals: ClassVar[Sequence[int]] = (1, 2, 3, 6, 8, 9, 11, 13, 14, 15)
    big_file_mib: ClassVar[int] = 1024
    long_line: ClassVar[int] = 16_000_000


class TestProcessInFull(test_process_runner.TestProcessUnderTheWorkersSpawner):
    exit_codes: ClassVar[Sequence[int]] = range(256)
    signals: ClassVar[Sequence[int]] = (1, 2, 3, 6, 8, 9, 11, 13, 14, 15)
    big_file_mib: ClassVar[int] = 1024
    long_line: ClassVar[int] = 16_000_000
