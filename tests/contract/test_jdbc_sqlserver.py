"""SQL Server where none is: what is told, and that a kill ends the wait. Its own server is not to be had for these tests."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import registry
from orchestrator.runtime import ray_processes
from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.unit.runtime.isolated_tasks import recipe
from tests.unit.runtime.worker_house import House

QUERY = "io.kestra.plugin.jdbc.sqlserver.Query"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base", isolated_by=recipe(tmp_path / "base"))
    yield made
    made.worker.close()


def test_a_server_that_is_not_there_is_told_with_its_place_and_a_way_out(tmp_path: Path) -> None:
    (port,) = ray_processes.free_ports(1)
    url = f"jdbc:sqlserver://127.0.0.1:{port};databaseName=shop;loginTimeout=2"
    task = registry.load("task", QUERY).model_validate({"id": "t", "type": QUERY, "url": url, "username": "ada", "password": "hunter2", "sql": "select 1"})
    with pytest.raises(TaskFailed) as told:
        task.run(FakeContext(tmp_path))
    assert f"SQL Server cannot be reached from this worker: database 'shop' at 127.0.0.1:{port} as user 'ada'" in str(told.value)
    assert "workerGroup" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_a_kill_ends_it_while_it_waits_for_a_server_that_says_nothing(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"jdbc:sqlserver://127.0.0.1:{silent.getsockname()[1]};databaseName=d"
        house.run({"type": QUERY, "url": url, "username": "ada", "password": "x", "sql": "select 1"})
        client, _ = silent.accept()
        with client:
            began = time.monotonic()
            house.stop()
            assert house.executor.outcome()["state"] == "KILLED"
            assert time.monotonic() - began < 1.5
