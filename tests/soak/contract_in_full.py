"""The contract of task runners in full sizes, on all four: part of `make soak`, or

    python -m tests.soak.contract_in_full [--record]

Two of them at a time. Needs a Docker engine with the images test/busybox and test/aws; about ten minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from orchestrator.sdk.testing import RunnerContract
from tests.contract import test_docker_runner, test_gcp_runner, test_process_runner
from tests.contract.aws_runner_site import AwsRunnerSite
from tests.soak.recording import parser, record

pytestmark = test_docker_runner.pytestmark
docker_engine = test_docker_runner.docker_engine
emulator = test_gcp_runner.emulator


class FullSizes:
    """What the contract asks for, unabridged."""

    exit_codes: ClassVar[Sequence[int]] = range(256)
    signals: ClassVar[Sequence[int]] = (1, 2, 3, 6, 8, 9, 11, 13, 14, 15)
    many_lines: ClassVar[int] = 200_000
    big_file_mib: ClassVar[int] = 1024
    long_line: ClassVar[int] = 16_000_000


class TestDockerInFull(FullSizes, test_docker_runner.TestDocker):
    """Containers. An engine that a shell started in its background ignores SIGQUIT, and its containers do."""

    signals: ClassVar[Sequence[int]] = (1, 2, 6, 8, 9, 11, 13, 14, 15)


class TestProcessInFull(FullSizes, test_process_runner.TestProcessUnderTheWorkersSpawner):
    """Processes of a worker."""


class OnClouds(FullSizes):
    """There a shell runs the command beside itself, and so it begins with SIGINT and SIGQUIT ignored: `docs/runners` says so."""

    signals: ClassVar[Sequence[int]] = (1, 6, 8, 9, 11, 13, 14, 15)


class TestAwsInFull(OnClouds, AwsRunnerSite, RunnerContract):
    """Jobs of AWS Batch, on the emulator."""


class TestGoogleInFull(OnClouds, test_gcp_runner.TestGoogleBatch):
    """Jobs of Google Batch, on the emulator."""


HEAD = ("| contract in full | passed | failed | does not apply | s |", "| --- | ---: | ---: | ---: | ---: |")


def main() -> int:
    """What pytest answers: 0 when all of it holds."""
    options = parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        code = pytest.main(["-q", "--timeout", "1800", "-n", "2", "--dist", "loadscope", f"--junit-xml={report}", __file__])
        rows = [_row(name, cases) for name, cases in _cases(report).items()]
    print(*HEAD, *rows, sep="\n")
    if options.record:
        record("contract of task runners in full sizes", [*HEAD, *rows])
    return int(code)


def _cases(report: Path) -> Mapping[str, list[ElementTree.Element]]:
    """The cases of pytest's report by the class that they are of."""
    found = defaultdict(list)
    for case in ElementTree.parse(report).iter("testcase"):
        found[case.get("classname", "").rpartition(".")[2].removeprefix("Test").removesuffix("InFull")].append(case)
    return found


def _row(name: str, cases: Sequence[ElementTree.Element]) -> str:
    ends = Counter("passed" if case.find("failure") is None and case.find("error") is None else "failed" for case in cases if case.find("skipped") is None)
    seconds = sum(float(case.get("time", 0)) for case in cases)
    return f"| {name} | {ends['passed']} | {ends['failed']} | {len(cases) - ends.total()} | {seconds:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
