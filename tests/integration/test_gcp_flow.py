"""A flow for Google Batch as a user writes it, on a real server whose operator has said where the services are."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator_plugins.gcp.emulator import Emulator
from tests.contract.gcp_site import an_emulator, on_machines
from tests.integration.local_server import LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.docker]

FLOW = Path(__file__).parent / "flows" / "gcp_batch_python.yaml"
CANARY = "c4n4ry-of-gcp"
KEY = {"type": "service_account", "project_id": "kestra-ie", "client_email": "runner@kestra-ie.example", "private_key": CANARY}
TYPE = "io.kestra.plugin.ee.gcp.runner.Batch"


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    images = {"busybox": "test/busybox", "ghcr.io/kestra-io/pydata:latest": "test/python"}
    with an_emulator(images=images) as made:
        yield made


@pytest.fixture(scope="module")
def server(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("gcp-flow")
    defaults = [{"type": TYPE, "values": {"endpointOverride": emulator.url, "completionCheckInterval": "PT0.5S", "waitForLogInterval": "PT1S"}}]
    (folder / "orchestrator.yaml").write_text(json.dumps({"plugin_defaults": defaults}))
    secrets = {"GCP_SERVICE_ACCOUNT": json.dumps(KEY), "TOKEN": CANARY}
    environ = {f"SECRET_{name}": base64.b64encode(text.encode()).decode() for name, text in secrets.items()}
    with local_server(folder, environ={**environ, "ORCHESTRATOR_CONFIG": str(folder / "orchestrator.yaml")}) as made:
        yield made


def a_flow(name: str, commands: str, more: str = "", runner: str = "") -> str:
    return f"""
id: {name}
namespace: gcp
tasks:
  - id: work
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: test/busybox
    taskRunner: {{type: {TYPE}, projectId: p1, region: europe-west1, bucket: staging, {runner}}}
    commands: {commands}
    {more}
"""


def run_of(ended: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ended["taskRunList"][0]
    return found


def test_the_flow_runs_as_it_is(server: LocalServer, emulator: Emulator) -> None:
    ended = server.execute(server.flow(FLOW.read_text()), wait=True)
    logs = server.logs(ended["id"])
    assert ended["state"]["current"] == "SUCCESS", logs
    assert "Hello from Google Batch and kestra!" in logs
    asked = emulator.jobs.asked[-1]
    policy, spec = asked.allocation_policy.instances[0].policy, asked.task_groups[0].task_spec
    assert asked.name.startswith("projects/kestra-ie/locations/europe-west9/jobs/dev-gcp-batch-python-run-python-")
    assert (policy.machine_type, policy.reservation.rpartition("/")[2]) == ("e2-standard-2", "kestra")
    assert spec.volumes[0].gcs.remote_path.startswith("kestra-ie/")
    assert run_of(ended)["outputs"]["exitCode"] == 0
    eventually(lambda: emulator.jobs.present() == [], within=20, what="the job is removed")


def test_files_outputs_and_secrets_travel(server: LocalServer, emulator: Emulator) -> None:
    commands = "['cat in.txt > out.txt', 'echo \"$TOKEN\" | wc -c', 'echo ''::{\"outputs\":{\"n\":3}}::''', 'exit 5']"
    more = "inputFiles: {in.txt: given}\n    outputFiles: ['*.txt']\n    env: {TOKEN: \"{{ secret('TOKEN') }}\"}"
    ended = server.execute(server.flow(a_flow("files", commands, more)), wait=True)
    run, logs = run_of(ended), server.logs(ended["id"])
    assert (ended["state"]["current"], run["outputs"]["exitCode"], run["outputs"]["vars"]) == ("FAILED", 5, {"n": 3}), logs
    assert sorted(run["outputs"]["outputFiles"]) == ["in.txt", "out.txt"]
    assert str(len(CANARY) + 1) in logs
    told = json.dumps(ended) + "".join(logs) + server.said()
    assert CANARY not in told
    database = b"".join(path.read_bytes() for path in server.data.glob("orchestrator.db*"))
    assert CANARY.encode() not in database


def test_a_kill_while_there_is_no_machine_leaves_nothing(server: LocalServer, emulator: Emulator) -> None:
    emulator.order("stuck-queued")
    started = server.execute(server.flow(a_flow("waiting", "['echo ran']")))
    eventually(lambda: any("waiting" in job for job in emulator.jobs.present()), within=30, what="there is a job")
    server.call("DELETE", f"/api/v1/executions/{started['id']}/kill")
    assert server.ended(started["id"])["state"]["current"] == "KILLED"
    eventually(lambda: emulator.jobs.present() == [] and on_machines(emulator) == [], within=20, what="nothing is left")


def test_what_the_service_will_never_take_is_refused_with_the_reason(server: LocalServer) -> None:
    ended = server.execute(server.flow(a_flow("large", "['true']", runner="machineType: e2-small, computeResource: {cpu: 8000}")), wait=True)
    assert ended["state"]["current"] == "FAILED"
    assert any("more than a e2-small has" in line for line in server.logs(ended["id"]))
