"""Places that belong to no machine: one supervisor each, that moves when its machine goes, while the jobs stay where they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.local_server import ORCHESTRATOR, LocalServer, eventually, joined_worker, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

YARDS = Path(__file__).resolve().parents[1] / "yards"
FLOW = """
id: {name}
namespace: acme
tasks:
  - id: t
    type: io.kestra.plugin.scripts.shell.Commands
    {group}
    taskRunner: {{type: com.acme.runner.Yard, region: "{{{{ globals.yard }}}}"}}
    commands: ["echo begun; while [ ! -e {go} ]; do sleep 0.1; done; echo through"]
"""


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("yard")
    yield folder
    for pid in folder.glob("*/pid"):
        with suppress(ProcessLookupError, ValueError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, yard: Path) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "orchestrator.yaml").write_text(
        f"variables: {{globals: {{yard: '{yard}'}}}}\nreap_grace: PT1S\nreap_every: PT2S\n"
        "prices:\n  - {service: acme-yard, region: here, usd_per_hour: 3600, date: 2026-01-01, source: the test}\n"
    )
    environ = {"PYTHONPATH": str(YARDS), "ORCHESTRATOR_CONFIG": str(folder / "orchestrator.yaml")}
    with local_server(folder, environ=environ) as found:
        yield found


def begun(server: LocalServer, name: str, go: Path, group: str = "") -> str:
    """An execution whose job is at work until `go` is there."""
    where = f"workerGroup: {{key: {group}}}" if group else ""
    execution = str(server.execute(server.flow(FLOW.format(name=name, go=go, group=where)))["id"])
    eventually(lambda: "begun" in server.logs(execution), within=60, what=f"{name} has begun")
    return execution


def run_of(server: LocalServer, execution: str) -> dict[str, Any]:
    found: dict[str, Any] = server.execution(execution)["taskRunList"][0]
    return found


def command(server: LocalServer, *words: str) -> Any:
    done = subprocess.run([*ORCHESTRATOR, *words, "--server", server.url, "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.long
def test_a_supervisor_whose_machine_is_drained_hands_its_jobs_over_and_they_go_on(server: LocalServer, yard: Path, tmp_path: Path) -> None:
    with ExitStack() as machines:
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            machines.enter_context(joined_worker(server, "far", tmp_path / name, wrap=("env", f"PYTHONPATH={YARDS}")))
        eventually(lambda: len(up(server)) == 2, within=60, what="two workers of the group are up")
        go = tmp_path / "go"
        execution = begun(server, "moves", go, "far")
        before = run_of(server, execution)
        (found,) = command(server, "runner", "ls")["found"]
        assert (found["ownership"], found["executionId"], found["backend"]) == ("running", execution, f"yard:{yard}")
        command(server, "worker", "drain", before["placement"]["worker"])
        eventually(lambda: run_of(server, execution)["lease"] == 2 and received(server, execution), within=40, what="another has taken it over")
        after = run_of(server, execution)
        assert after["placement"]["worker"] != before["placement"]["worker"]
        assert (after["generation"], after.get("lostWorkers", 0), after["job"]["key"]) == (0, 0, before["job"]["key"])
        assert [one["ownership"] for one in command(server, "runner", "ls")["found"]] == ["adopted"]
        assert (yard / after["job"]["key"] / "starts").read_text() == "x\n"
        go.touch()
        assert server.ended(execution)["state"]["current"] == "SUCCESS"
        assert [line for line in server.logs(execution) if line in ("begun", "through")] == ["begun", "through"]
        eventually(lambda: not list(yard.glob("*/pid")), within=20, what="nothing is left in the yard")


def up(server: LocalServer) -> list[str]:
    return [one["name"] for one in server.call("GET", "/api/v1/workers")["workers"] if one.get("group") == "far" and one["state"] == "up"]


def received(server: LocalServer, execution: str) -> bool:
    return any(phase["name"] == "running" for phase in run_of(server, execution)["phases"])


def test_a_job_is_adopted_after_its_supervisor_and_the_executor_have_died_together(server: LocalServer, yard: Path, tmp_path: Path) -> None:
    go = tmp_path / "go"
    execution = begun(server, "orphan", go)
    key = run_of(server, execution)["job"]["key"]
    supervisor_of(server, execution).kill()
    server.kill("ray::ExecutorActor")
    eventually(lambda: lease_of(server, execution) > 1, within=60, what="another supervisor has it")  # the second, where the executor still sent it to one
    assert (yard / key / "starts").read_text() == "x\n"
    go.touch()
    run = server.ended(execution)["taskRunList"][0]
    assert (run["state"]["current"], run["generation"], run["job"]["key"]) == ("SUCCESS", 0, key)
    assert [line for line in server.logs(execution) if line in ("begun", "through")] == ["begun", "through"]
    eventually(lambda: not (yard / key).exists(), within=20, what="it is gone from the yard")


def supervisor_of(server: LocalServer, execution: str) -> psutil.Process:
    """Its process, which bears the name of the call that it was given last: a run's, or `alive` of the executor that has come last."""
    try:
        return server.process(f"[{execution}]")
    except AssertionError:
        return server.process("ray::BackendActor")


def lease_of(server: LocalServer, execution: str) -> int:
    try:
        return int(run_of(server, execution)["lease"]) if received(server, execution) else 0
    except OSError:
        return 0  # the executor is on its way


def test_a_place_that_is_full_is_tried_again_and_both_are_told(server: LocalServer, yard: Path, tmp_path: Path) -> None:
    (yard / "full").write_text("1")
    go = tmp_path / "go"
    execution = server.execute(server.flow(FLOW.format(name="full", go=go, group="")))["id"]
    eventually(lambda: run_of(server, execution)["state"]["current"] == "RETRYING", within=40, what="its start has failed")
    (told,) = command(server, "explain", execution)["explanations"]
    assert told["reason"] == "WAITING_RETRY"
    assert told["message"].startswith("Start 1 of its job failed (the yard is full)")
    go.touch()
    run = server.ended(execution)["taskRunList"][0]
    assert (run["state"]["current"], run["generation"], run["startFailures"], len(run["attempts"])) == ("SUCCESS", 1, 1, 1)
    assert any(line.startswith("Start 1 failed (CAPACITY): the yard is full; the next begins in PT") for line in server.logs(execution))
    eventually(lambda: not list(yard.glob("*/starts")), within=20, what="nothing is left in the yard")
    costs = command(server, "execution", "cost", execution)
    assert costs["complete"]
    assert costs["total"] == run["cost"] > 0
    assert [one["runner"] for one in costs["byRunner"]] == ["com.acme.runner.Yard"]


def test_a_job_that_never_begins_fails_at_its_bound_with_the_last_that_was_heard(server: LocalServer, yard: Path, tmp_path: Path) -> None:
    (yard / "shut").touch()
    source = FLOW.format(name="shut", go=tmp_path / "go", group="").replace("type: com", "waitUntilRunning: PT2S, type: com")
    execution = server.execute(server.flow(source))["id"]
    eventually(lambda: reasons(server, execution) == ["PROVISIONING"], within=30, what="it is told what it waits for")
    run = server.ended(execution)["taskRunList"][0]
    (yard / "shut").unlink()
    assert (run["state"]["current"], run["cause"], run["startFailures"], run["cost"]) == ("FAILED", "START_FAILED", 1, 0)
    assert run["error"] == "the command did not begin within PT2S (waitUntilRunning); the last that was heard: QUEUED"
    assert not list(yard.glob("*/starts"))


def reasons(server: LocalServer, execution: str) -> list[str]:
    return [one["reason"] for one in command(server, "explain", execution)["explanations"]]


def test_what_a_crash_left_at_such_a_place_is_removed_by_the_next_server_though_no_job_goes_there(server: LocalServer, yard: Path, tmp_path: Path) -> None:
    execution = begun(server, "known", tmp_path / "go")
    (tmp_path / "go").touch()
    server.ended(execution)
    (yard / "nobodys").mkdir()
    server.kill("ExecutorActor")
    eventually(lambda: not (yard / "nobodys").exists(), within=40, what="what nobody owns is gone")
