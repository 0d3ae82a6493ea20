"""Workers that leave a real server: by a signal, from afar, at once, and with the executor dying meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local_server import ORCHESTRATOR, LocalServer, eventually, local_server
from tests.integration.machines import Machine, clean, machine

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

ADMIN = "the-administrators-token"
PROCESS = "taskRunner: {type: io.kestra.plugin.core.runner.Process}"
CONTAINER = "containerImage: test/busybox\n    taskRunner: {type: io.kestra.plugin.scripts.runner.docker.Docker, pullPolicy: NEVER}"
FLOW = """
id: {id}
namespace: leaving
tasks:
  - id: held
    type: io.kestra.plugin.scripts.shell.Commands
    {how}
    workerGroup: {{key: {group}}}
    commands: ["echo begun >> {folder}/{id}; while [ ! -e {folder}/go ]; do sleep 0.1; done; echo through"]
"""
WAITING = """
id: {id}
namespace: leaving
tasks:
  - id: held
    type: io.kestra.plugin.scripts.shell.Commands
    {how}
    workerGroup: {{key: {group}}}
    commands: ["echo begun; sleep {seconds}; echo through"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("leaving"), token=ADMIN) as found:
        yield found


@contextmanager
def two(server: LocalServer, folder: Path, group: str, *args: str) -> Iterator[tuple[Machine, Machine]]:
    """Two machines of a group."""
    how = (f"--worker-group={group}", "--slots=4", *args)
    with machine(server, folder, f"{group}-one", *how, token=ADMIN) as one, machine(server, folder, f"{group}-other", *how, token=ADMIN) as other:
        yield one, other


def at_work(server: LocalServer, folder: Path, group: str, name: str, how: str = PROCESS) -> dict[str, Any]:
    """An execution whose one task is at work until `go` is in the folder."""
    folder.mkdir(exist_ok=True)
    begun = server.execute(server.flow(FLOW.format(id=name, folder=folder, group=group, how=how)))

    def look() -> dict[str, Any] | None:
        found = server.execution(begun["id"])
        return found if (folder / name).exists() and workers_of(found) else None

    found: dict[str, Any] = eventually(look, within=40, what=f"{name} is at work")
    return found


def workers_of(execution: dict[str, Any]) -> str:
    """The name of the worker that its task was begun on last."""
    runs = execution.get("taskRunList") or [{}]
    attempts = runs[0].get("attempts") or [{}]
    return str(attempts[-1].get("workerId") or "")


def listed(server: LocalServer, worker: str, seen: set[str]) -> bool:
    """Whether a worker is listed; the states it is seen in are added to `seen`."""
    states = [one["state"] for one in server.call("GET", "/api/v1/workers")["workers"] if one["name"] == worker]
    seen.update(states)
    return bool(states)


def lines(folder: Path, name: str) -> int:
    return len((folder / name).read_text().splitlines())


def of_which(machines: tuple[Machine, Machine], worker: str) -> tuple[Machine, Machine]:
    """The machine of a worker, and the other."""
    one, other = machines
    return (one, other) if one.worker()["name"] == worker else (other, one)


def test_a_signal_lets_what_runs_end_there_and_sends_nothing_more(server: LocalServer, tmp_path: Path) -> None:
    with two(server, tmp_path, "gentle") as machines:
        first = at_work(server, tmp_path / "a", "gentle", "first")
        leaving, staying = of_which(machines, workers_of(first))
        leaving.signal()
        eventually(lambda: leaving.worker()["state"] == "draining", within=10, what="it drains")
        others = [at_work(server, tmp_path / "b", "gentle", f"second{number}") for number in range(4)]
        assert {workers_of(other) for other in others} == {staying.worker()["name"]}
        assert leaving.process.poll() is None
        (tmp_path / "a" / "go").touch()
        done = server.ended(first["id"])
        assert (done["state"]["current"], workers_of(done), lines(tmp_path / "a", "first")) == ("SUCCESS", workers_of(first), 1)
        assert leaving.ended() == 0
        seen: set[str] = set()
        eventually(lambda: not listed(server, workers_of(first), seen), within=30, what="it is listed no more")
        assert "lost" not in seen
        (tmp_path / "b" / "go").touch()
        assert {server.ended(other["id"])["state"]["current"] for other in others} == {"SUCCESS"}


def test_what_outlasts_the_grace_is_handed_back_and_ends_elsewhere_exactly_once_more(server: LocalServer, tmp_path: Path) -> None:
    with two(server, tmp_path, "hasty", "--grace=2s") as machines:
        first = at_work(server, tmp_path / "a", "hasty", "late")
        leaving, staying = of_which(machines, workers_of(first))
        name = staying.worker()["name"]
        leaving.signal()
        assert leaving.ended() == 0
        eventually(lambda: lines(tmp_path / "a", "late") == 2, within=20, what="it began again elsewhere")
        (tmp_path / "a" / "go").touch()
        done = server.ended(first["id"])
        assert (done["state"]["current"], workers_of(done), lines(tmp_path / "a", "late")) == ("SUCCESS", name, 2)
        said = server.logs(first["id"])
        assert "Sent again: WORKER_SHUTDOWN" in said
        assert said.count("through") == 1


@pytest.mark.long
def test_a_second_signal_ends_it_at_once_and_what_ran_is_sent_again_as_lost(server: LocalServer, tmp_path: Path) -> None:
    with two(server, tmp_path, "abrupt") as machines:
        first = at_work(server, tmp_path / "a", "abrupt", "cut")
        leaving, staying = of_which(machines, workers_of(first))
        name = staying.worker()["name"]
        leaving.signal()
        eventually(lambda: "a second signal ends it at once" in leaving.said(), within=10, what="it drains")
        leaving.signal()
        assert leaving.ended(10) == 128 + signal.SIGTERM
        eventually(lambda: lines(tmp_path / "a", "cut") == 2, within=40, what="it began again elsewhere")
        (tmp_path / "a" / "go").touch()
        done = server.ended(first["id"])
        assert (done["state"]["current"], workers_of(done)) == ("SUCCESS", name)
        assert "Sent again: WORKER_LOST" in server.logs(first["id"])


def test_a_worker_is_drained_from_afar_and_its_machine_leaves_with_exit_code_0(server: LocalServer, tmp_path: Path) -> None:
    with machine(server, tmp_path, "afar", "--worker-group=afar", token=ADMIN) as found:
        first = at_work(server, tmp_path / "a", "afar", "remote")
        threading.Timer(2.0, (tmp_path / "a" / "go").touch).start()
        said = typed(server, "worker", "drain", found.worker()["id"][:6], "--grace", "1m", "--wait")
        assert (said.returncode, "is drained" in said.stderr) == (0, True), said.stderr
        assert server.ended(first["id"])["state"]["current"] == "SUCCESS"
        assert found.ended() == 0
        assert "Drained: this worker has left" in found.said()
        assert lines(tmp_path / "a", "remote") == 1


def typed(server: LocalServer, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {**clean(), "ORCHESTRATOR_SERVER": server.url, "ORCHESTRATOR_API_TOKEN": ADMIN}
    return subprocess.run([*ORCHESTRATOR, *words], env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.long
def test_a_drain_outlives_the_executor(server: LocalServer, tmp_path: Path) -> None:
    with two(server, tmp_path, "lasting") as machines:
        first = at_work(server, tmp_path / "a", "lasting", "kept")
        leaving, staying = of_which(machines, workers_of(first))
        name, id = staying.worker()["name"], leaving.worker()["id"]
        deadline = server.call("POST", f"/api/v1/workers/{id}/drain", {"grace": "PT25S"})["drain"]["deadline"]
        server.kill("ExecutorActor")
        second = at_work(server, tmp_path / "b", "lasting", "elsewhere")
        assert workers_of(second) == name
        told = server.call("GET", f"/api/v1/workers/{id}")
        assert (told["state"], told["drain"]["deadline"]) == ("draining", deadline)
        eventually(lambda: lines(tmp_path / "a", "kept") == 2, within=60, what="it was handed back at its deadline")
        assert leaving.ended() == 0
        for folder in ("a", "b"):
            (tmp_path / folder / "go").touch()
        assert {server.ended(one["id"])["state"]["current"] for one in (first, second)} == {"SUCCESS"}
        assert "Sent again: WORKER_SHUTDOWN" in server.logs(first["id"])


@pytest.mark.long
@pytest.mark.docker
def test_containers_of_a_leaving_machine_end_within_the_grace_or_begin_anew_elsewhere(server: LocalServer, tmp_path: Path) -> None:
    with two(server, tmp_path, "boxed", "--grace=12s") as machines:
        short = server.execute(server.flow(WAITING.format(id="short", group="boxed", how=CONTAINER, seconds=8)))
        long = server.execute(server.flow(WAITING.format(id="long", group="boxed", how=CONTAINER, seconds=35)))
        for one in (short, long):
            eventually(lambda one=one: "begun" in server.logs(one["id"]), within=60, what="its container runs")  # type: ignore[misc]
        first = {one["id"]: workers_of(server.execution(one["id"])) for one in (short, long)}
        assert len(set(first.values())) == 1, "both are watched by one machine"
        node = first[long["id"]].split(":")[2]
        leaving, _ = machines if machines[0].worker()["id"].startswith(node) else machines[::-1]
        leaving.signal()
        done = server.ended(short["id"], within=30)
        assert (done["state"]["current"], workers_of(done)) == ("SUCCESS", first[short["id"]])
        assert server.logs(short["id"]).count("begun") == 1
        assert leaving.ended(60) == 0
        eventually(lambda: server.logs(long["id"]).count("begun") == 2, within=60, what="it began anew elsewhere")
        done = server.ended(long["id"], within=120)
        assert done["state"]["current"] == "SUCCESS", server.logs(long["id"])
        assert workers_of(done).split(":")[2] != node
        assert server.logs(long["id"]).count("through") == 1
        assert "Sent again: WORKER_SHUTDOWN" in server.logs(long["id"])


@pytest.mark.long
def test_a_run_with_resources_of_its_own_is_handed_back_too(server: LocalServer, tmp_path: Path) -> None:
    with two(server, tmp_path, "roomy", "--grace=2s") as machines:
        first = at_work(server, tmp_path / "a", "roomy", "own", how=f"{PROCESS}\n    resources: {{cpu: 0.5}}")
        node = workers_of(first).split(":")[2]
        leaving, staying = machines if machines[0].worker()["id"].startswith(node) else machines[::-1]
        other = staying.worker()["id"][:8]
        leaving.signal()
        assert leaving.ended() == 0
        eventually(lambda: lines(tmp_path / "a", "own") == 2, within=30, what="it began again elsewhere")
        (tmp_path / "a" / "go").touch()
        done = server.ended(first["id"])
        assert (done["state"]["current"], workers_of(done).split(":")[2]) == ("SUCCESS", other)
        assert "Sent again: WORKER_SHUTDOWN" in server.logs(first["id"]), json.dumps(server.logs(first["id"]))
