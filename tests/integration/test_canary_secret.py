"""A secret that a task uses in its environment, its script and its runner's properties shows nowhere else."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.local_server import LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.timeout(200)]

CANARY = "c4n4ry-that-must-not-sing"
FLOW = """
id: canary-{name}
namespace: mine
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: test/busybox
    taskRunner: {runner}
    env: {{TOKEN: "{{{{ secret('CANARY') }}}}"}}
    inputFiles: {{config.ini: "token={{{{ secret('CANARY') }}}}"}}
    commands:
      - test "$TOKEN" = "{{{{ secret('CANARY') }}}}"
      - grep -q "$TOKEN" config.ini
      - echo "it is $TOKEN"
      - sleep 2
      - exit 3
"""
RUNNERS = {
    "process": "{type: io.kestra.plugin.core.runner.Process}",
    "docker": """
      type: io.kestra.plugin.scripts.runner.docker.Docker
      pullPolicy: NEVER
      credentials: {registry: registry.invalid, username: me, password: "{{ secret('CANARY') }}"}
      config: {auths: {other.invalid: {auth: "{{ secret('CANARY') }}"}}}""",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    environ = {"SECRET_CANARY": base64.b64encode(CANARY.encode()).decode()}
    with local_server(tmp_path_factory.mktemp("canary"), environ=environ) as found:
        yield found


def _command_lines() -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def _shown_by_the_engine(execution_id: str) -> str:
    listed = subprocess.run(["docker", "ps", "-aq", "--filter", f"label=kestra.io/execution-id={execution_id}"], capture_output=True, text=True, check=True)
    return "".join(subprocess.run(["docker", "inspect", one], capture_output=True, text=True, check=True).stdout for one in listed.stdout.split())


def _written(server: LocalServer) -> list[Path]:
    """Every file of the server's that holds the canary: its database, its log, the logs of its Ray session."""
    session = Path(json.loads((server.data / "cluster.json").read_text())["temp_dir"])
    files = [path for folder in (server.data, *session.glob("session_*/logs")) for path in folder.rglob("*") if path.is_file()]
    return [path for path in (*files, server.log) if CANARY.encode() in path.read_bytes()]


@pytest.mark.parametrize("name", list(RUNNERS))
def test_a_secret_shows_in_no_command_line_no_log_and_no_store(server: LocalServer, name: str) -> None:
    flow = server.flow(FLOW.format(name=name, runner=RUNNERS[name]))
    execution_id = server.execute(flow)["id"]
    eventually(lambda: any("it is" in line for line in server.logs(execution_id)), within=40, what="the command has begun")
    shown = [*_command_lines(), _shown_by_the_engine(execution_id)]
    ended = server.ended(execution_id)
    assert ended["taskRunList"][0]["outputs"].get("exitCode") == 3, server.logs(execution_id)
    assert [text[:400] for text in shown if CANARY in text] == []
    assert CANARY not in json.dumps(ended) + "".join(server.logs(execution_id))
    assert _written(server) == []
