"""A server whose files lie in a bucket."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from orchestrator.runtime import ray_processes
from tests.integration.local_server import ORCHESTRATOR, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

SETTINGS = "storage: s3://files/of/mine\nstorage-options: {{key: tester, secret: hunter2, endpoint_url: '{url}'}}\n"
FLOW = """
id: files
namespace: elsewhere
tasks:
  - id: make
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: ["seq 1 200000 > numbers.txt"]
    outputFiles: [numbers.txt]
  - id: count
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    inputFiles: {numbers.txt: "{{ outputs.make.outputFiles['numbers.txt'] }}"}
    commands: ['echo "::{\\"outputs\\":{\\"lines\\":$(wc -l < numbers.txt)}}::"']
  - {id: size, type: io.kestra.plugin.core.storage.Size, uri: "{{ outputs.make.outputFiles['numbers.txt'] }}"}
  - {id: head, type: io.kestra.plugin.core.debug.Return, runIf: "{{ (read(outputs.make.outputFiles['numbers.txt']) | length) > 9 }}", format: read}
  - {id: read, type: io.kestra.plugin.core.debug.Return, format: "{{ read(outputs.make.outputFiles['numbers.txt']) | length }}"}
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    (port,) = ray_processes.free_ports(1)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def objects(url: str) -> list[str]:
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="tester", aws_secret_access_key="x")
    return [one["Key"] for one in client.list_objects_v2(Bucket="files").get("Contents", ())]


@pytest.mark.long
def test_files_of_executions_lie_in_the_bucket_and_go_with_it(tmp_path: Path, s3: str) -> None:
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x").create_bucket(Bucket="files")
    (tmp_path / "orchestrator.yaml").write_text(SETTINGS.format(url=s3))
    with local_server(tmp_path, environ={"ORCHESTRATOR_CONFIG": str(tmp_path / "orchestrator.yaml")}) as server:
        done = server.execute(server.flow(FLOW), wait=True)
        outputs = {run["taskId"]: run["outputs"] for run in done["taskRunList"]}
        assert done["state"]["current"] == "SUCCESS", server.logs(done["id"])
        assert (outputs["count"]["vars"], outputs["size"], outputs["read"]["value"]) == ({"lines": 200000}, {"size": 1288895}, "1288895")
        assert outputs["head"] == {"value": "read"}, "the executor reads it too"
        uri = outputs["make"]["outputFiles"]["numbers.txt"]
        assert len(server.call("GET", f"/api/v1/executions/{done['id']}/file?path={uri}", raw=True)) == 1288895
        assert len(objects(s3)) == 1
        assert [path for path in (server.data / "storage").rglob("*") if path.is_file()] == []
        server.call("DELETE", f"/api/v1/executions/{done['id']}")
        assert objects(s3) == []


def test_a_bucket_that_cannot_be_used_is_told_in_one_line_before_anything_starts(tmp_path: Path, s3: str) -> None:
    (tmp_path / "orchestrator.yaml").write_text(SETTINGS.format(url=s3).replace("files/of", "nobodys/of"))
    environ = {**os.environ, "ORCHESTRATOR_CONFIG": str(tmp_path / "orchestrator.yaml")}
    command = [*ORCHESTRATOR, "server", "local", "--data", str(tmp_path / "data"), "--port", str(ray_processes.free_ports(1)[0])]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "the storage s3://nobodys/of/mine cannot be used: " in done.stderr
    assert "hunter2" not in done.stderr
    assert not (tmp_path / "data" / "cluster.json").exists()
