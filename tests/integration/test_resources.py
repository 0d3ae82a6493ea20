"""Runs with `resources` on real Ray nodes: a GPU shared among several, one too many, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_server import LocalServer, eventually, local_server
from tests.integration.machines import machine

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]
GROUP = "gpu"
HOLD = """
id: {id}
namespace: resources
tasks:
  - id: hold
    type: io.kestra.plugin.scripts.shell.Commands
    workerGroup: {{key: gpu{fallback}}}
    {resources}
    commands:
      - echo "::{{\\"outputs\\":{{\\"device\\":\\"${{CUDA_VISIBLE_DEVICES-unset}}\\"}}}}::"
      - {last}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("resources")
    with local_server(folder) as server, machine(server, folder, "box", f"--worker-group={GROUP}", "--gpus", "1", "--cpus", "4"):
        yield server


def flow(server: LocalServer, name: str, resources: str = "", last: str = "'true'", fallback: str = "") -> tuple[str, str]:
    asked = f"resources: {resources}" if resources else ""
    return server.flow(HOLD.format(id=name, resources=asked, last=last, fallback=fallback))


def begun(server: LocalServer, execution: Any) -> Any:
    def look() -> Any:
        found = server.execution(execution["id"])
        return found if found["taskRunList"] and found["taskRunList"][0].get("attempts") else None

    return eventually(look, within=40, what="the run has begun")


def reasons(server: LocalServer, execution: Any) -> dict[str, Any]:
    told = server.call("GET", f"/api/v1/executions/{execution['id']}/explain")["explanations"]
    return {one["reason"]: one for one in told}


def processes(server: LocalServer) -> list[str]:
    """The runs' own processes that live: what Ray shows of them."""
    import psutil

    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ORCHESTRATOR_WORKER_SERVER") == server.url and process.cmdline()[0].startswith(("ray::ProcessActor", "ray::resources.")):
                found.append(process.cmdline()[0])
        except (psutil.Error, IndexError):
            continue
    return found


def kill(server: LocalServer, execution: Any) -> None:
    server.call("DELETE", f"/api/v1/executions/{execution['id']}/kill")
    assert server.ended(execution["id"])["state"]["current"] == "KILLED"


def test_four_quarters_of_a_gpu_run_side_by_side_and_the_fifth_waits_for_one_of_them(server: LocalServer) -> None:
    held = [server.execute(flow(server, f"quarter-{at}", "{gpu: 0.25}", "sleep 300")) for at in range(4)]
    for one in held:
        run = begun(server, one)["taskRunList"][0]
        assert (run["placement"]["where"], run["placement"]["resources"]["gpu"]) == ("process", 0.25)
    fifth = server.execute(flow(server, "fifth", "{gpu: 0.25}"))
    told = eventually(lambda: reasons(server, fifth).get("NO_ROOM_FOR_RESOURCES"), within=10, what="the fifth says why it waits")
    assert told["evidence"]["resources"]["gpu"] == 0.25
    (worker,) = [one for one in server.call("GET", "/api/v1/workers")["workers"] if one["group"] == GROUP]
    assert (worker["used"], worker["resourcesUsed"]["GPU"]) == (0, 1.0)
    kill(server, held[0])
    done = server.ended(fifth["id"])
    assert (done["state"]["current"], done["taskRunList"][0]["outputs"]["vars"]["device"]) == ("SUCCESS", "0")
    for one in held[1:]:
        kill(server, one)
    eventually(lambda: not processes(server), within=20, what="no process of a run is left")


def test_more_than_any_machine_has_is_refused_where_the_fallback_says_so_and_told_where_it_waits(server: LocalServer) -> None:
    done = server.execute(flow(server, "refused", "{gpu: 2}", fallback=", fallback: FAIL"), wait=True)
    assert done["taskRunList"][0]["error"] == "No workers are available for worker group 'gpu' with 2 gpu"
    waits = server.execute(flow(server, "waits", "{gpu: 2}"))
    told = eventually(lambda: reasons(server, waits).get("NO_LIVE_WORKER"), within=10, what="it says why it waits")
    assert "has a machine with 2 gpu" in told["message"]
    kill(server, waits)


def test_a_run_without_resources_on_the_same_worker_sees_the_machine_as_it_is(server: LocalServer) -> None:
    done = server.execute(flow(server, "plain"), wait=True)
    assert done["taskRunList"][0]["outputs"]["vars"]["device"] == "unset"


def test_a_run_with_resources_outlives_the_executor_and_is_not_repeated(server: LocalServer, tmp_path: Path) -> None:
    marks, enough = tmp_path / "marks", tmp_path / "enough"
    last = f"echo x >> {marks}; while [ ! -e {enough} ]; do sleep 0.1; done"
    execution = server.execute(flow(server, "outlives", "{cpu: 1}", f'"{last}"'))
    eventually(marks.exists, within=40, what="it has begun")
    server.kill("ExecutorActor")
    eventually(server.healthy, within=60, what="the server is well again")
    enough.touch()
    assert server.ended(execution["id"])["state"]["current"] == "SUCCESS"
    assert marks.read_text() == "x\n"
    eventually(lambda: not processes(server), within=20, what="no process of the run is left")
