"""A server with declared groups, asked as a user asks it: flows that name what is not there, plans, and defaults that send work away."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_server import ORCHESTRATOR, LocalServer, joined_worker, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SETTINGS = """
worker-groups:
  - {key: gpu, tags: [big]}
  - {key: ops, allowedNamespaces: [ops]}
"""
HEAD = "id: {id}\nnamespace: places.told\ninputs: [{{id: pool, type: STRING, defaults: gpu}}]\n"
TASK = "tasks:\n  - id: t\n    type: core.debug.Return\n    format: x\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("places")
    (folder / "orchestrator.yaml").write_text(SETTINGS)
    with local_server(folder, environ={"ORCHESTRATOR_CONFIG": str(folder / "orchestrator.yaml")}) as found:
        yield found


def _type(server: LocalServer, *words: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {**{name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}, "ORCHESTRATOR_SERVER": server.url}
    return subprocess.run([*ORCHESTRATOR, *map(str, words)], env=environ, capture_output=True, text=True, timeout=60, check=False)


def _file(folder: Path, name: str, rest: str) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(HEAD.format(id=name) + rest)
    return file


def _plan(server: LocalServer, file: Path, code: int) -> dict[str, dict[str, Any]]:
    said = _type(server, "plan", file, "--json")
    assert said.returncode == code, said.stderr
    return {task["id"]: task for task in json.loads(said.stdout)["tasks"]}


@pytest.mark.parametrize("command", [("flow", "create"), ("run",), ("plan",)])
def test_a_group_that_is_not_declared_is_refused_with_its_place_by_every_command(server: LocalServer, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = _file(tmp_path, "typo", TASK + "    workerGroup:\n      key: gqu\n")
    said = _type(server, *command, file)
    assert said.returncode == 2
    assert said.stderr.startswith(f"error[unknown-worker-group]: No worker group 'gqu' is declared\n  --> {file}:9:12\n")
    assert "^^^ help: did you mean `gpu`?" in said.stderr


def test_a_file_is_validated_against_the_groups_of_the_server_that_is_named_only(server: LocalServer, tmp_path: Path) -> None:
    file = _file(tmp_path, "kept", TASK + "workerGroup: {key: ops}\n")
    assert _type(server, "flow", "validate", file).returncode == 0
    said = _type(server, "flow", "validate", file, "--server", server.url)
    assert said.returncode == 2
    assert said.stdout.startswith("error[group-not-allowed]: Worker group 'ops' takes no work of namespace places.told\n")


def test_what_a_flow_is_warned_of_is_told_when_it_is_created(server: LocalServer, tmp_path: Path) -> None:
    said = _type(server, "flow", "create", _file(tmp_path, "warned", TASK + "workerSelector: {tags: [bigg], fallback: WAIT}\n"))
    assert (said.returncode, said.stdout) == (0, "places.told/warned revision 1\n")
    assert said.stderr.startswith("warning[no-such-group]: no worker group has all of bigg\n")


def test_a_plan_tells_of_a_group_before_and_after_a_worker_has_joined_it_and_the_run_goes_where_it_said(server: LocalServer, tmp_path: Path) -> None:
    forced = "pluginDefaults:\n  - {type: core.debug, forced: true, values: {workerGroup: {key: '{{ inputs.pool }}'}}}\n"
    file = _file(tmp_path, "forced", TASK + "    workerGroup: {key: '', fallback: FAIL}\n" + forced)
    before = _plan(server, file, 1)["t"]
    assert (before["level"], before["saidBy"], before["outlook"]) == ("pluginDefaults", "forced", "fails")
    with joined_worker(server, "gpu", tmp_path, slots=2):
        after = _plan(server, file, 0)["t"]
        assert (after["outlook"], after["steps"][0]["groups"]) == ("now", [{"key": "gpu", "workers": 1, "slots": 2, "free": 2, "queued": 0}])
        ended = server.execute(server.flow(file.read_text()), wait=True)
        assert (ended["state"]["current"], ended["taskRunList"][0]["placement"]["group"]) == ("SUCCESS", "gpu")


def test_a_worker_is_told_with_its_page_in_the_ray_dashboard(server: LocalServer) -> None:
    (worker,) = server.call("GET", "/api/v1/workers")["workers"]
    page, _, node = worker["rayDashboard"].partition("/#/cluster/nodes/")
    assert node == worker["nodeId"]
    token = (server.data / "ray_token").read_text().strip()
    request = urllib.request.Request(f"{page}/nodes/{node}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["data"]["detail"]["raylet"]["nodeId"] == node
