"""Commands on the worker's own machine keep the contract of task runners."""

from __future__ import annotations

import pytest

from orchestrator.sdk import TaskRunner
from orchestrator.sdk.testing import RunnerContract
from orchestrator_plugins.process.runner import Process


class TestProcess(RunnerContract):
    @pytest.fixture
    def runner(self) -> TaskRunner:
        return Process()
