"""The runner keeps what every task runner promises."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from acme_runner import Nice

from orchestrator.sdk import TaskRunner
from orchestrator.sdk.testing import RunnerContract


class TestNice(RunnerContract):
    @pytest.fixture
    def runner(self) -> TaskRunner:
        return Nice.model_validate({"niceness": 5})


def test_it_is_found_by_the_name_that_users_write() -> None:
    assert entry_points(group="orchestrator.task_runner")["com.acme.runner.Nice"].load() is Nice
