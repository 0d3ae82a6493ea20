"""Commands on the worker's own machine keep the contract of task runners."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.runtime.spawner import Spawner
from orchestrator.sdk import Processes, TaskRunner
from orchestrator.sdk.testing import RunnerContract
from orchestrator_plugins.process.runner import Process


class TestProcess(RunnerContract):
    @pytest.fixture
    def runner(self) -> TaskRunner:
        return Process()


class TestProcessUnderTheWorkersSpawner(TestProcess):
    @pytest.fixture
    def processes(self) -> Iterator[Processes]:
        spawner = Spawner()
        yield spawner
        spawner.close()
