"""The flow `aws_ecs_fargate_python.yaml`, as it is, on a real server: only endpoints and secrets are configured."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator_plugins.aws.emulator import Emulator
from orchestrator_plugins.aws.properties import SIDECAR
from tests.contract.aws_site import need_images
from tests.integration.local_server import LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.docker, pytest.mark.timeout(240)]

FLOW = Path(__file__).with_name("aws_ecs_fargate_python.yaml")
CANARY = "canary-of-the-secret-key"
SETTINGS = """
plugin_defaults:
  - type: io.kestra.plugin.ee.aws.runner.Batch
    values:
      endpointOverride: {url}
      completionCheckInterval: PT0.5S
"""
CANARY_FLOW = """
id: canary-{code}
namespace: dev
tasks:
  - id: tell
    type: io.kestra.plugin.scripts.shell.Commands
    containerImage: test/busybox
    env: {{TOKEN: "{{{{ secret('CANARY') }}}}"}}
    outputFiles: [made.txt]
    taskRunner:
      type: io.kestra.plugin.ee.aws.runner.Batch
      computeEnvironmentArn: {environment}
      jobQueueArn: {queue}
      executionRoleArn: {role}
      taskRoleArn: {role}
      accessKeyId: "{{{{ secret('AWS_ACCESS_KEY_ID') }}}}"
      secretKeyId: "{{{{ secret('CANARY') }}}}"
      region: eu-west-1
      bucket: kestra-ie
    commands:
      - test "$TOKEN" = "{{{{ secret('CANARY') }}}}"
      - echo made > {{{{ workingDir }}}}/made.txt
      - echo "says $TOKEN" >&2
      - exit {code}
"""


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    need_images()
    stand_ins = {"ghcr.io/kestra-io/pydata:latest": "test/python", SIDECAR: "test/aws"}
    with Emulator(account="707969873520", region="eu-west-1", images=stand_ins, stop_grace=1) as emulator:
        emulator.furnish(environment="kestraFargateEnvironment", queue="kestraJobQueue", bucket="kestra-ie")
        yield emulator


@pytest.fixture(scope="module")
def server(aws: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("aws-flow")
    (folder / "orchestrator.yaml").write_text(SETTINGS.format(url=aws.url))
    secrets = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "CANARY": CANARY}
    environ = {f"SECRET_{name}": base64.b64encode(value.encode()).decode() for name, value in secrets.items()}
    with local_server(folder, environ={**environ, "ORCHESTRATOR_CONFIG": str(folder / "orchestrator.yaml")}) as made:
        yield made


def is_clean(aws: Emulator) -> bool:
    """Whether nothing of any run is left: no definition, no object, no unended job."""
    definitions = aws.client("batch").describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    objects = aws.client("s3").list_objects_v2(Bucket="kestra-ie").get("Contents", ())
    return not definitions and not objects and all(job.ended for job in aws.jobs())


def test_the_flow_runs_as_it_is(server: LocalServer, aws: Emulator) -> None:
    ended = server.ended(server.execute(server.flow(FLOW.read_text()))["id"], within=120)
    logs = server.logs(ended["id"])
    assert ended["state"]["current"] == "SUCCESS", logs
    assert "Hello from AWS Batch and kestra!" in logs
    assert any(line.startswith("Python version: 3.") for line in logs)
    eventually(lambda: is_clean(aws), within=60, what="nothing of the run is left at AWS")


@pytest.mark.parametrize("code", [0, 6])
def test_a_canary_secret_stands_nowhere_but_in_the_container(server: LocalServer, aws: Emulator, code: int) -> None:
    made = next(job for job in aws.jobs())
    role = made.spec["executionRoleArn"]
    about = {"environment": "arn:aws:batch:eu-west-1:707969873520:compute-environment/kestraFargateEnvironment", "queue": made.queue_arn, "role": role}
    ended = server.ended(server.execute(server.flow(CANARY_FLOW.format(**about, code=code)))["id"], within=120)
    run = ended["taskRunList"][0]
    assert (run["outputs"]["exitCode"], list(run["outputs"]["outputFiles"])) == (code, ["made.txt"]), server.logs(ended["id"])
    assert CANARY not in "\n".join(server.logs(ended["id"]))
    assert any(line.startswith("says ***") for line in server.logs(ended["id"]))
    job = aws.jobs()[-1]
    assert CANARY not in str((job.detail(), job.definition))
    eventually(lambda: is_clean(aws), within=60, what="nothing of the run is left at AWS")
    with sqlite3.connect(f"file:{server.data / 'orchestrator.db'}?mode=ro", uri=True) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert CANARY.encode() not in b"".join(str(store.execute(f"SELECT * FROM {table}").fetchall()).encode() for table in tables)
