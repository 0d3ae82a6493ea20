"""Any process may die by SIGKILL while executions run: all of them end right, each task once, but for the dead worker's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.runtime import ray_processes
from tests.integration.local_server import LocalServer, eventually, joined_worker, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

EXECUTIONS = 20
ROOM = {"ORCHESTRATOR_SLOTS": "32"}  # so that all of them are at work at once
FLOW = """
id: {id}
namespace: surviving
inputs:
  - {{id: name, type: STRING}}
tasks:
  - id: line
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    {group}
    commands:
      - echo begun >> {folder}/{{{{ inputs.name }}}}
      - sleep {seconds}
      - echo said {{{{ inputs.name }}}}
  - id: after
    type: io.kestra.plugin.core.debug.Return
    format: "{{{{ inputs.name }}}}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("surviving"), environ=ROOM) as found:
        yield found


def _begin(server: LocalServer, folder: Path, name: str, *, seconds: int, group: str = "") -> list[str]:
    """Twenty executions, all of them at work: each has written its line and sleeps."""
    asked = f"workerGroup: {{key: {group}}}" if group else ""
    flow = server.flow(FLOW.format(id=name, folder=folder, seconds=seconds, group=asked))
    ids = [server.execute(flow, inputs={"name": f"n{number}"})["id"] for number in range(EXECUTIONS)]
    eventually(lambda: _lines(folder) == [1] * EXECUTIONS, within=40, what="all tasks have begun")
    return ids


def _lines(folder: Path) -> list[int]:
    return [len(path.read_text().splitlines()) for path in folder.iterdir()]


def _check(server: LocalServer, ids: list[str]) -> None:
    for number, execution_id in enumerate(ids):
        ended = server.ended(execution_id, within=90)
        assert ended["state"]["current"] == "SUCCESS", server.logs(execution_id)
        assert [run["taskId"] for run in ended["taskRunList"]] == ["line", "after"]
        assert all(run["state"]["current"] == "SUCCESS" and "endDate" in run["state"] for run in ended["taskRunList"])
        assert ended["taskRunList"][1]["outputs"]["value"] == f"n{number}"
        assert server.logs(execution_id).count(f"said n{number}") == 1


def test_the_executor_dies_and_no_command_runs_twice(server: LocalServer, tmp_path: Path) -> None:
    ids = _begin(server, tmp_path, "executor-dies", seconds=5)
    server.kill("ExecutorActor")
    _check(server, ids)
    assert _lines(tmp_path) == [1] * EXECUTIONS


def test_the_api_dies_and_no_command_runs_twice(server: LocalServer, tmp_path: Path) -> None:
    ids = _begin(server, tmp_path, "api-dies", seconds=5)
    server.kill("ApiActor")
    _check(server, ids)
    assert _lines(tmp_path) == [1] * EXECUTIONS


def test_the_worker_dies_and_only_its_own_tasks_run_again(server: LocalServer, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other, mine = tmp_path / "other", tmp_path / "mine"
    other.mkdir()
    mine.mkdir()
    with joined_worker(server, "spared", tmp_path_factory.mktemp("spared"), slots=EXECUTIONS):
        spared = _begin(server, other, "spared", seconds=8, group="spared")
        killed = _begin(server, mine, "killed", seconds=4)
        server.kill_worker()
        _check(server, killed)
        _check(server, spared)
    assert _lines(other) == [1] * EXECUTIONS
    assert set(_lines(mine)) <= {1, 2}
    assert max(_lines(mine)) == 2, "the killed worker's tasks were sent again"


def test_the_launcher_and_the_raylet_die_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    server = LocalServer(tmp_path, environ=ROOM)
    try:
        server.start()
        before = server.mark()
        assert before is not None
        ids = _begin(server, folder, "all-dies", seconds=3)
        assert server.launcher is not None
        server.launcher.kill()
        server.launcher.wait(5)
        server.kill_raylet()
        server.start(ready=False)
        eventually(lambda: not ray_processes.marked(before), within=20, what="what the dead server had left was ended")
        eventually(server.healthy, within=60, what="the server is ready again")
        _check(server, ids)
        assert server.stop() == 0
        assert server.mark() is None
    finally:
        server.end()


@pytest.mark.long
def test_a_launcher_killed_alone_is_followed_by_one_that_adopts_what_lives(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    server = LocalServer(tmp_path, environ=ROOM)
    try:
        server.start()
        before = server.mark()
        ids = _begin(server, folder, "launcher-dies", seconds=4)
        assert server.launcher is not None
        server.launcher.kill()
        server.launcher.wait(5)
        server.start()
        assert server.mark() == before
        _check(server, ids)
        assert _lines(folder) == [1] * EXECUTIONS
    finally:
        server.end()


SCHEDULED = """
id: scheduled
namespace: surviving
tasks:
  - {id: a, type: io.kestra.plugin.core.debug.Return, format: "{{ trigger.date }}"}
triggers:
  - {id: every, type: io.kestra.plugin.core.trigger.Schedule, cron: "* * * * * *", withSeconds: true, timezone: UTC, allowConcurrent: true}
"""
LISTENING = """
id: listening
namespace: surviving
tasks:
  - {id: a, type: io.kestra.plugin.core.debug.Return, format: "{{ trigger.executionId }}"}
triggers:
  - id: heard
    type: io.kestra.plugin.core.trigger.Flow
    conditions:
      - {type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: surviving, flowId: scheduled}
"""


def _all(server: LocalServer, flow: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.call("GET", f"/api/v1/executions?namespace=surviving&flowId={flow}&size=1000")["results"]
    return found


def _come(server: LocalServer, count: int) -> None:
    eventually(lambda: len(_all(server, "scheduled")) >= count, within=40, what=f"{count} dates have come")


def _killed(server: LocalServer) -> bool:
    try:
        server.kill("ExecutorActor")
    except AssertionError:  # it is not up again yet
        return False
    return True


def test_the_executor_dies_and_each_date_starts_one_execution_and_each_end_another(server: LocalServer) -> None:
    server.flow(LISTENING)
    server.flow(SCHEDULED)
    for count in (2, 4):
        _come(server, count)
        eventually(lambda: _killed(server), within=40, what="the executor is there to be killed")
    _come(server, 6)
    server.call("DELETE", "/api/v1/flows/surviving/scheduled", raw=True)
    made = [server.ended(one["id"]) for one in _all(server, "scheduled")]
    dates = sorted(datetime.fromisoformat(one["trigger"]["variables"]["date"]) for one in made)
    assert dates == [dates[0] + timedelta(seconds=at) for at in range(len(dates))]
    assert {one["state"]["current"] for one in made} == {"SUCCESS"}
    ids = sorted(one["id"] for one in made)
    heard = eventually(lambda: found if len(found := _all(server, "listening")) >= len(ids) else None, within=20, what="all ends are heard")
    assert sorted(one["trigger"]["variables"]["executionId"] for one in heard) == ids
    server.call("DELETE", "/api/v1/flows/surviving/listening", raw=True)
