"""The run of a container whose machine is cut off: gone on with from another worker of its engine, else ended there and begun anew."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conftest import missing
from tests.integration.crash_points import containers_created, containers_left
from tests.integration.failure_table import Scene, scenes
from tests.integration.far_machine import able
from tests.integration.local_server import eventually

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.timeout(300)]

FLOW = """
id: in-{group}
namespace: lost
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    placement: [{{workerGroup: {group}}}, {{workerGroup: ''}}]
    containerImage: test/busybox
    taskRunner: {{type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER}}
    commands: ["echo first", "sleep {seconds}", "echo last", "exit 7"]
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    if not able():
        missing("root and iproute2, for a network that can be cut")
    with scenes(tmp_path_factory.mktemp("lost-engines")) as made:
        yield made


def _begun(scene: Scene, group: str, seconds: int) -> str:
    execution_id = str(scene.server.execute(scene.server.flow(FLOW.format(group=group, seconds=seconds)))["id"])
    eventually(lambda: "first" in scene.server.logs(execution_id), within=60, what="the container runs")
    return execution_id


def _exit_code(scene: Scene, execution_id: str) -> object:
    return scene.server.ended(execution_id, within=120)["taskRunList"][0]["outputs"].get("exitCode")


@pytest.mark.long
def test_a_machine_that_is_cut_off_leaves_its_container_to_another_worker_of_the_engine(scene: Scene) -> None:
    since, machine = time.time(), scene.machine()
    scene.worker("shared", machine)
    execution_id = _begun(scene, "shared", 20)
    scene.worker("shared")
    machine.cut()
    assert _exit_code(scene, execution_id) == 7, scene.server.logs(execution_id)
    machine.mend()
    assert [line for line in scene.server.logs(execution_id) if line in ("first", "last")] == ["first", "last"]
    assert containers_created(execution_id, since) == 1
    eventually(lambda: not containers_left(execution_id), within=30, what="the container is removed")


@pytest.mark.long
def test_a_machine_that_is_cut_off_alone_ends_its_container_before_another_is_made(scene: Scene) -> None:
    since, machine = time.time(), scene.machine()
    scene.worker("alone", machine)
    execution_id = _begun(scene, "alone", 20)
    first = containers_left(execution_id)
    machine.cut()
    cut = time.time()
    eventually(lambda: containers_left(execution_id) != first, within=30, what="the machine has ended its container")
    assert 8 < time.time() - cut < 13, "at the end of its lease"
    assert _exit_code(scene, execution_id) == 7, scene.server.logs(execution_id)
    machine.mend()
    assert containers_created(execution_id, since) == 2
    eventually(lambda: not containers_left(execution_id), within=30, what="the containers are removed")
