"""What a server leaves behind when it dies, on a real engine: adopted or removed by the next, and nobody else's touched."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.settings import load
from tests.integration.local_server import ORCHESTRATOR, LocalServer, eventually, local_server
from tests.integration.typist import DOCS, blocks, typist

pytestmark = [pytest.mark.ray, pytest.mark.docker]

IMAGE = "test/busybox"
PAGE = DOCS / "task-runners.md"
TOKEN = "of-the-page"
RUNNER = "{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER}"
FLOW = f"""
id: leftovers
namespace: house
tasks:
  - id: t
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: {IMAGE}
    taskRunner: {RUNNER}
    commands: ["echo begun", "while [ ! -e go ]; do sleep 0.2; done", "echo done"]
"""
QUICKLY = {"ORCHESTRATOR_REAP_GRACE": "PT1S", "ORCHESTRATOR_REAP_EVERY": "PT2S"}


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def containers(installation: str) -> set[str]:
    return set(docker("ps", "-a", "--filter", f"label=kestra.io/installation={installation}", "--format", "{{.Names}}").split())


class Planted:
    """Containers that a test made, removed at its end."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def put(self, name: str, installation: str, **labels: str) -> str:
        given = {"installation": installation, "job": name, **labels}
        flags = [word for key, value in given.items() for word in ("--label", f"kestra.io/{key}={value}")]
        docker("create", "--name", name, *flags, IMAGE, "true")
        self.names.append(name)
        return name


@pytest.fixture
def planted() -> Iterator[Planted]:
    made = Planted()
    yield made
    for name in made.names:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("server"), environ=QUICKLY, token=TOKEN) as found:
        yield found


def command(server: LocalServer, *words: str) -> Any:
    done = subprocess.run([*ORCHESTRATOR, *words, "--server", server.url, f"--api-token={TOKEN}", "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def owners(server: LocalServer) -> dict[str, str]:
    return {one["key"]: one["ownership"] for one in command(server, "runner", "ls")["found"]}


def test_every_command_of_the_page_works(server: LocalServer, tmp_path: Path) -> None:
    with typist(server, tmp_path, where=DOCS.parent) as typing:
        for mark, block in blocks(PAGE):
            if mark != "server":  # it is there
                typing.type(mark, block)


def test_the_prices_of_the_page_are_read(tmp_path: Path) -> None:
    (text,) = [text for text in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S) if text.startswith("prices:")]
    file = tmp_path / "orchestrator.yaml"
    file.write_text(text)
    assert [price.service for price in load({}, {}, file).price_book[:2]] == ["aws-fargate", "worker-group"]


@pytest.mark.long
def test_after_a_crash_a_live_job_is_adopted_leftovers_go_and_others_are_left_alone(server: LocalServer, planted: Planted, tmp_path: Path) -> None:
    execution = server.execute(server.flow(FLOW))["id"]
    eventually(lambda: "begun" in server.logs(execution), within=30, what="the container prints")
    (found,) = command(server, "runner", "ls")["found"]
    assert (found["kind"], found["ownership"], found["executionId"], found["taskId"]) == ("container", "running", execution, "t")
    installation, live = found["labels"]["kestra.io/installation"], found["key"]
    server.kill_raylet()
    assert server.launcher is not None
    server.launcher.kill()
    server.launcher.wait()
    mark = tmp_path.name[-8:].replace("_", "-").lower()
    kept = planted.put(f"kept-{mark}", installation, keep="true")
    other = planted.put(f"other-{mark}", f"another-{mark}")
    dead = planted.put(f"dead-{mark}", installation)
    assert containers(installation) == {live, kept, dead}
    server.start()
    eventually(lambda: dead not in containers(installation), within=40, what="what nobody owns is gone")
    assert containers(installation) == {live, kept}
    assert containers(f"another-{mark}") == {other}
    assert owners(server) == {live: "adopted", kept: "kept"}
    docker("exec", live, "touch", f"/orchestrator/{live}/go")
    assert server.ended(execution)["state"]["current"] == "SUCCESS"
    assert [line for line in server.logs(execution) if line in ("begun", "done")] == ["begun", "done"]
    eventually(lambda: containers(installation) == {kept}, within=20, what="the ended job's container is gone")
    again = planted.put(f"again-{mark}", installation)
    assert [one["name"] for one in command(server, "runner", "reap", "--dry-run")["found"]] == [docker("inspect", "--format", "{{.Id}}", again)]
    command(server, "runner", "reap")
    assert containers(installation) == {kept}
