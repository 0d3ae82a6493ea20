"""The flows the project exists for: a task on the worker that was started for it, and one in a container it rents for a moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.integration.local_server import LocalServer, joined_worker, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

GPU = """
id: myflow
namespace: dev
tasks:
  - id: gpu
    type: io.kestra.plugin.scripts.python.Commands
    namespaceFiles:
      enabled: true
    commands:
      - python ml_on_gpu.py
    workerGroup:
      key: gpu
"""
BOTH = """
id: both
namespace: dev
tasks:
  - id: gpu
    type: io.kestra.plugin.scripts.python.Commands
    namespaceFiles: {enabled: true}
    commands: [python ml_on_gpu.py]
    workerGroup: {key: gpu}
  - id: container
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: test/busybox
    commands:
      - echo "loss was {{ outputs.gpu.vars.loss }}"
      - 'for n in 1 2 3 4 5; do echo "line $n"; done'
      - 'printf "::{\\"outputs\\": {\\"seen\\": true}}::"'
outputs:
  - {id: loss, type: STRING, value: "{{ outputs.gpu.vars.loss }}"}
  - {id: seen, type: STRING, value: "{{ outputs.container.vars.seen }}"}
"""
PROGRAM = """
import os, sys
print("parent", os.environ.get("ORCHESTRATOR_RUN", "") != "")
print("server's folder holds", os.listdir(sys.argv[1]) if len(sys.argv) > 1 else os.listdir(SERVER))
for n in range(5):
    print("step", n)
print('::{"outputs": {"loss": 0.25}}::')
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("main")) as found:
        yield found


@pytest.fixture(scope="module")
def gpu_worker(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A worker whose machine cannot see the server's folder: an empty one lies over it."""
    hide = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{server.data}" && exec "$@"', "sh")
    with joined_worker(server, "gpu", tmp_path_factory.mktemp("worker"), wrap=hide if os.geteuid() == 0 and shutil.which("unshare") else ()) as process:
        yield process.pid


def _give_program(server: LocalServer) -> None:
    program = f"SERVER = {str(server.data)!r}\n" + PROGRAM
    body = f'--x\r\nContent-Disposition: form-data; name="fileContent"; filename="file"\r\n\r\n{program}\r\n--x--\r\n'
    server.call("POST", "/api/v1/namespaces/dev/files?path=/ml_on_gpu.py", body, kind="multipart/form-data; boundary=x", raw=True)


def _order(messages: list[str], first: str, last: str) -> bool:
    return messages.index(first) < messages.index(last)


def test_a_task_runs_on_the_worker_started_for_its_group_and_nowhere_else(server: LocalServer, gpu_worker: int) -> None:
    _give_program(server)
    ended = server.execute(server.flow(GPU), wait=True)
    assert ended["state"]["current"] == "SUCCESS", server.logs(ended["id"])
    run = ended["taskRunList"][0]
    assert run["attempts"][0]["workerId"].startswith("worker:gpu:")
    assert run["outputs"]["vars"] == {"loss": 0.25}
    said = server.logs(ended["id"])
    assert [line for line in said if line.startswith("step")] == [f"step {n}" for n in range(5)]
    if os.geteuid() == 0:
        assert "server's folder holds []" in said, "the server's folder was hidden, so nothing passed by it"


@pytest.mark.docker
def test_the_next_task_of_the_flow_runs_in_a_container(server: LocalServer, gpu_worker: int) -> None:
    _give_program(server)
    ended = server.execute(server.flow(BOTH), wait=True)
    said = server.logs(ended["id"])
    assert ended["state"]["current"] == "SUCCESS", said
    assert ended["outputs"] == {"loss": "0.25", "seen": "true"}
    assert "loss was 0.25" in said
    assert [line for line in said if line.startswith("line")] == [f"line {n}" for n in range(1, 6)]
    assert _order(said, "step 4", "loss was 0.25")


def test_a_task_for_a_group_without_a_worker_waits_or_fails_as_it_says(server: LocalServer) -> None:
    waits = GPU.replace("myflow", "waits").replace("key: gpu", "key: nobody")
    fails = waits.replace("id: waits", "id: fails").replace("key: nobody", "key: nobody\n      fallback: FAIL")
    failed = server.execute(server.flow(fails), wait=True)
    assert failed["state"]["current"] == "FAILED"
    assert any("No workers are available for worker group 'nobody'" in line for line in server.logs(failed["id"]))
    waiting = server.execute(server.flow(waits))
    assert server.execution(waiting["id"])["taskRunList"][0]["state"]["current"] == "CREATED"
    server.call("DELETE", f"/api/v1/executions/{waiting['id']}/kill", raw=True)
    assert server.ended(waiting["id"], within=10)["state"]["current"] == "KILLED"
