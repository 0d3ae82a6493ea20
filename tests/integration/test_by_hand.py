"""Executions that people act on from the command line, on a real server."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_server import ORCHESTRATOR, LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

MENDED = """
id: mended
namespace: hand
tasks:
  - {{id: first, type: core.debug.Return, format: "{{{{ execution.startDate }}}}"}}
  - id: second
    type: scripts.shell.Commands
    taskRunner: {{type: core.runner.Process}}
    commands: ["test -e {folder}/mended"]
"""
LIMITED = """
id: limited
namespace: hand
concurrency: {limit: 1}
tasks:
  - {id: sleep, type: core.flow.Sleep, duration: PT60S}
"""
ROLLED = """
id: {id}
namespace: hand
inputs: [{{id: n, type: INT, defaults: 1}}]
tasks:
  - id: roll
    type: jdbc.sqlite.Query
    url: "jdbc:sqlite::memory:"
    sql: "select random() as number, {{{{ inputs.n }}}} as n"
    fetchType: FETCH_ONE
    taskCache: {{enabled: true{ttl}}}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("hand")) as found:
        yield found


def typed(server: LocalServer, *words: str) -> Any:
    """What a command of `orchestrator execution` prints as JSON."""
    command = [*ORCHESTRATOR, "execution", *words, "--json", f"--server={server.url}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def values(execution: dict[str, Any]) -> list[tuple[str, str]]:
    return [(run["taskId"], run["state"]["current"]) for run in execution["taskRunList"]]


def test_what_has_failed_is_restarted_and_what_has_ended_is_replayed_from_a_task(server: LocalServer, tmp_path: Path) -> None:
    failed = server.execute(server.flow(MENDED.format(folder=tmp_path)), wait=True)
    assert values(failed) == [("first", "SUCCESS"), ("second", "FAILED")]
    (tmp_path / "mended").touch()
    assert typed(server, "restart", failed["id"][:10])["id"] == failed["id"]
    mended = server.ended(failed["id"])
    assert values(mended) == [("first", "SUCCESS"), ("second", "SUCCESS")]
    again = server.ended(typed(server, "replay", failed["id"], "--task", "second")["id"])
    assert again["id"] != failed["id"]
    assert again["taskRunList"][0]["outputs"] == mended["taskRunList"][0]["outputs"], "what came before is taken over"
    anew = server.ended(typed(server, "replay", failed["id"])["id"])
    assert anew["taskRunList"][0]["outputs"] != mended["taskRunList"][0]["outputs"]


def test_an_execution_in_line_is_begun_at_once_when_forced(server: LocalServer) -> None:
    flow = server.flow(LIMITED)
    first, second = server.execute(flow), server.execute(flow)
    eventually(lambda: server.execution(second["id"])["state"]["current"] == "QUEUED", within=10, what="the second waits")
    typed(server, "force-run", second["id"])
    eventually(lambda: server.execution(second["id"])["state"]["current"] == "RUNNING", within=10, what="it runs")
    for one in (first, second):
        typed(server, "kill", one["id"])
        assert server.ended(one["id"])["state"]["current"] == "KILLED"


def test_a_task_that_was_done_before_gives_its_outputs_again_with_files_of_their_own(server: LocalServer) -> None:
    page = (Path(__file__).parents[2] / "docs/language.md").read_text()
    (source,) = re.findall(r"```yaml\n(id: done_before\n.*?)```", page, re.DOTALL)
    flow = server.flow(source.replace('"{{ outputs.expensive.uri }}"', '"{{ read(outputs.expensive.uri) }}"'))
    first = server.execute(flow, wait=True)
    server.call("DELETE", f"/api/v1/executions/{first['id']}")  # with its files
    second, other = server.execute(flow, wait=True), server.execute(flow, wait=True, inputs={"day": "2026-02-28"})
    assert [one["state"]["current"] for one in (first, second, other)] == ["SUCCESS"] * 3
    assert server.logs(second["id"]) == ["The task's outputs are taken from its cache", "a report on 2026-01-31"]
    assert server.logs(other["id"]) == ["a report on 2026-02-28"]
    uris = [one["taskRunList"][0]["outputs"]["uri"] for one in (first, second)]
    assert [one["id"] in uri for one, uri in zip((first, second), uris, strict=True)] == [True, True]


def test_a_task_with_a_process_of_its_own_is_done_once_too_and_again_once_it_is_old(server: LocalServer) -> None:
    flow = server.flow(ROLLED.format(id="rolled", ttl=""))
    first, second, other = (server.execute(flow, wait=True, inputs={"n": n}) for n in ("1", "1", "2"))
    rows = [one["taskRunList"][0]["outputs"]["row"] for one in (first, second, other)]
    assert rows[0] == rows[1]
    assert rows[2]["number"] != rows[0]["number"]
    aged = server.flow(ROLLED.format(id="rolled-and-aged", ttl=", ttl: PT0.001S"))
    numbers = {server.execute(aged, wait=True)["taskRunList"][0]["outputs"]["row"]["number"] for _ in range(2)}
    assert len(numbers) == 2, "what was kept is too old at once"
