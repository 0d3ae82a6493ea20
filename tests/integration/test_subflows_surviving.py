"""Processes die by SIGKILL while executions wait for others and tasks share a folder: nothing is started twice, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.local_server import LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SHELL = "io.kestra.plugin.scripts.shell.Commands"
PROCESS = "taskRunner: {type: io.kestra.plugin.core.runner.Process}"
CHILD = """
id: child-{name}
namespace: surviving
inputs: [{{id: name, type: STRING}}]
tasks:
  - id: line
    type: {shell}
    {process}
    commands: ["echo begun >> {folder}/{{{{ inputs.name }}}}", "sleep 4"]
"""
PARENT = """
id: parent-{name}
namespace: surviving
tasks:
  - id: beside
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - {{id: one, type: io.kestra.plugin.core.flow.Subflow, namespace: surviving, flowId: child-{name}, inputs: {{name: one}}}}
      - {{id: two, type: io.kestra.plugin.core.flow.Subflow, namespace: surviving, flowId: child-{name}, inputs: {{name: two}}}}
      - id: home
        type: io.kestra.plugin.core.flow.WorkingDirectory
        tasks:
          - {{id: write, type: {shell}, {process}, commands: ["echo begun >> {folder}/write", "echo shared > file.txt"]}}
          - {{id: wait, type: {shell}, {process}, commands: ["echo begun >> {folder}/wait", "sleep 4"]}}
          - {{id: read, type: {shell}, {process}, commands: ["cat file.txt"]}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("subflows")) as found:
        yield found


def _begin(server: LocalServer, folder: Path, name: str) -> str:
    """An execution that waits for two others, with a folder in use: all three are at work."""
    words = {"name": name, "folder": folder, "shell": SHELL, "process": PROCESS}
    server.flow(CHILD.format(**words))
    execution_id = str(server.execute(server.flow(PARENT.format(**words)))["id"])
    eventually(lambda: _lines(folder) == dict.fromkeys(("one", "two", "write", "wait"), 1), within=40, what="all tasks have begun")
    return execution_id


def _lines(folder: Path) -> dict[str, int]:
    return {path.name: len(path.read_text().splitlines()) for path in folder.iterdir()}


def test_the_executor_dies_and_nothing_is_started_twice(server: LocalServer, tmp_path: Path) -> None:
    execution_id = _begin(server, tmp_path, "executor")
    server.kill("ExecutorActor")
    ended = server.ended(execution_id, within=90)
    assert ended["state"]["current"] == "SUCCESS", server.logs(execution_id)
    assert _lines(tmp_path) == {"one": 1, "two": 1, "write": 1, "wait": 1}
    assert "shared" in server.logs(execution_id)


def test_the_worker_dies_and_the_shared_folder_begins_anew(server: LocalServer, tmp_path: Path) -> None:
    execution_id = _begin(server, tmp_path, "worker")
    server.kill_worker()
    ended = server.ended(execution_id, within=90)
    assert ended["state"]["current"] == "SUCCESS", server.logs(execution_id)
    assert _lines(tmp_path) == {"one": 2, "two": 2, "write": 2, "wait": 2}
    assert "shared" in server.logs(execution_id)
