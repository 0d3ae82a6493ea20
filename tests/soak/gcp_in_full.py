"""The contract of task runners in full sizes on the emulator of Google Batch: part of `make soak`, or

pytest --timeout 1800 tests/soak/gcp_in_full.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tests.contract import test_gcp_runner

pytestmark = test_gcp_runner.pytestmark
emulator = test_gcp_runner.emulator


class TestGoogleBatchInFull(test_gcp_runner.TestGoogleBatch):
    exit_codes: ClassVar[Sequence[int]] = range(256)
    signals: ClassVar[Sequence[int]] = (1, 2, 3, 6, 8, 9, 11, 13, 14, 15)
    many_lines: ClassVar[int] = 200_000
    big_file_mib: ClassVar[int] = 1024
    long_line: ClassVar[int] = 16_000_000
