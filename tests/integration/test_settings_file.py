"""A server whose settings stand in a file: it keeps its executions in PostgreSQL, and whoever dies, nothing is lost or done twice."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.contract import postgres_server
from tests.integration.local_server import LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

FLOW = """
id: {id}
namespace: settings
tasks:
  - id: said
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ globals.stage }}}} {{{{ envs.where }}}} {{{{ secret('WORD') == 'hunter2' }}}}"
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    commands: ["echo begun >> {folder}/begun; while [ ! -e {folder}/enough ]; do sleep 0.1; done; echo said"]
"""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres_server.server() as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("settings")
    written = {
        "database": database,
        "default-runner": "process",
        "variables": {"globals": {"stage": "production"}},
        "envs": {"where": "here"},
        "secrets": {"word": base64.b64encode(b"hunter2").decode()},
    }
    (folder / "of-mine.yaml").write_text(yaml.safe_dump(written))
    with local_server(folder, flags=("--config", str(folder / "of-mine.yaml"))) as found:
        yield found


def begun(server: LocalServer, folder: Path, name: str) -> str:
    """An execution whose second task is at work until it is let end."""
    execution_id = str(server.execute(server.flow(FLOW.format(id=name, folder=folder)))["id"])
    eventually(lambda: (folder / "begun").exists() and (folder / "begun").read_text(), within=40, what="its command has begun")
    return execution_id


def ended_well_once(server: LocalServer, folder: Path, execution_id: str) -> bool:
    (folder / "enough").touch()
    ended = server.ended(execution_id)
    said = [line for line in server.logs(execution_id) if line == "said"]
    return ended["state"]["current"] == "SUCCESS" and (folder / "begun").read_text() == "begun\n" and said == ["said"]


def test_everything_that_the_file_sets_holds(server: LocalServer, tmp_path: Path, database: str) -> None:
    execution_id = begun(server, tmp_path, "holds")
    assert ended_well_once(server, tmp_path, execution_id)
    assert server.execution(execution_id)["taskRunList"][0]["outputs"]["value"] == "production here true"
    assert not (server.data / "orchestrator.db").exists()
    with create_engine(database, poolclass=NullPool).connect() as connection:
        assert connection.execute(text("select count(*) from executions where id = :id"), {"id": execution_id}).scalar_one() == 1


def test_the_executor_dies_on_postgresql_and_no_command_runs_twice(server: LocalServer, tmp_path: Path) -> None:
    execution_id = begun(server, tmp_path, "executor-dies")
    server.kill("ExecutorActor")
    assert ended_well_once(server, tmp_path, execution_id)


def test_the_server_is_stopped_and_started_on_postgresql_and_goes_on(server: LocalServer, tmp_path: Path) -> None:
    execution_id = begun(server, tmp_path, "server-stops")
    assert server.stop(within=30) == 0
    server.start()
    (tmp_path / "enough").touch()
    assert server.ended(execution_id)["state"]["current"] == "SUCCESS"
    assert server.logs(execution_id).count("said") == 1
