"""`orchestrator run` as a job of a Ray cluster that somebody else runs, and `server standalone` on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.job_submission import JobDetails, JobSubmissionClient

from orchestrator.runtime import ray_processes
from orchestrator.runtime.ray_processes import Node
from tests.integration.local_server import ENDED, eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

ORCHESTRATOR = [str(Path(sys.executable).with_name("orchestrator"))]  # as people call it: `python -m` would take modules from where it is called
JOB_ENDED = {"SUCCEEDED", "FAILED", "STOPPED"}
HELLO = """
id: hello
namespace: jobs
inputs:
  - {id: a, type: STRING}
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "hello {{ inputs.a }}"}
  - {id: shell, type: io.kestra.plugin.scripts.shell.Commands, taskRunner: {type: io.kestra.plugin.core.runner.Process}, commands: [echo from the shell]}
"""
FAIL = """
id: fail
namespace: jobs
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: before the end}
  - {id: fail, type: io.kestra.plugin.core.execution.Fail}
"""
LONG = """
id: long
namespace: jobs
tasks:
  - id: wait
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {type: io.kestra.plugin.core.runner.Process}
    commands: [echo waiting, sleep 300]
"""
BAD = "id: bad\nnamespace: jobs\ntasks:\n  - {id: say, type: io.kestra.plugin.core.log.Log, mesage: hello}\n"
# A folder of the user's with the name of one of our packages: whoever imports it says so in IMPORTED, and dies.
TRAP = "import os, sys\nopen(os.path.join({folder!r}, str(os.getpid())), 'w').write(' '.join(sys.argv))\nraise SystemExit('a module of the job was imported')\n"


class Cluster:
    """A Ray head node of the test's own, started as somebody would who knows nothing of us: no group, no settings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.imported = folder, folder / "data", folder / "imported"
        self.imported.mkdir()
        self.job_folder = folder / "job"
        self.mark = ray_processes.new_mark()
        token_file = folder / "token"
        self.token = ray_processes.write_token(token_file)
        self._temp = tempfile.mkdtemp(prefix="orch-job-")
        self.node = Node(mark=self.mark, token_file=str(token_file), temp_dir=self._temp)

    def start(self) -> None:
        self.node = ray_processes.start_head(self.node, _clean(), resources={}, labels={}, dashboard=True)
        self.jobs = JobSubmissionClient(f"http://{self.node.dashboard}", headers={"Authorization": f"Bearer {self.token}"})
        self._write_job_folder()
        eventually(self._takes_jobs, within=60, what="the cluster takes jobs, and they see their folder")

    def _takes_jobs(self) -> bool:
        try:
            job = self.jobs.submit_job(entrypoint="ls flows/hello.yaml", runtime_env={"working_dir": str(self.job_folder)})
        except RuntimeError:  # its agent is starting
            return False
        return self.ended(job).status.value == "SUCCEEDED"

    def _write_job_folder(self) -> None:
        flows = self.job_folder / "flows"
        flows.mkdir(parents=True)
        for name, text in {"hello": HELLO, "fail": FAIL, "long": LONG, "bad": BAD}.items():
            (flows / f"{name}.yaml").write_text(text)
        for name in ("plugins", "orchestrator_plugins", "sqlalchemy"):
            (self.job_folder / name).mkdir()
            (self.job_folder / name / "__init__.py").write_text(TRAP.format(folder=str(self.imported)))

    def end(self) -> None:
        ray_processes.end(self.mark)
        shutil.rmtree(self._temp, ignore_errors=True)

    def environ(self) -> dict[str, str]:
        """For drivers and servers on this cluster."""
        return {**_clean(), "RAY_ADDRESS": self.node.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": self.node.token_file}

    # --- jobs

    def submit(self, *arguments: str, **variables: str) -> str:
        """`orchestrator run` with these arguments as a job; its id."""
        given = {"ORCHESTRATOR_DATA": str(self.data), **variables}
        runtime_env = {"working_dir": str(self.job_folder), "env_vars": {key: value for key, value in given.items() if value}}
        return self.jobs.submit_job(entrypoint=" ".join(["orchestrator run", *arguments]), runtime_env=runtime_env)

    def ended(self, job: str, within: float = 90) -> JobDetails:
        eventually(lambda: self.jobs.get_job_status(job).value in JOB_ENDED, within=within, what=f"{job} has ended; it said: {self.jobs.get_job_logs(job)}")
        return self.jobs.get_job_info(job)

    def ran(self, *arguments: str, **variables: str) -> tuple[str, int | None, str]:
        """The status of a job at its end, its driver's exit code, and what it said."""
        job = self.submit(*arguments, **variables)
        info = self.ended(job)
        return info.status.value, info.driver_exit_code, self.jobs.get_job_logs(job)

    # --- our actors

    def actors(self, kind: str) -> list[psutil.Process]:
        """Living processes of actors of that class."""
        return [process for process in ray_processes.marked(self.mark) if _title(process).startswith(f"ray::{kind}")]

    def ours(self) -> list[psutil.Process]:
        return [process for kind in ("ExecutorActor", "ApiActor", "WorkerActor", "SupervisorActor") for process in self.actors(kind)]

    def call(self, path: str, method: str = "GET", body: bytes | None = None, kind: str = "application/json") -> Any:
        """An answer of the API, wherever the settings in force say that it is."""
        port = json.loads((self.data / "settings.json").read_text())["port"]
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": kind} if body is not None else {}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def newest(self, flow: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = self.call(f"/api/v1/executions/search?namespace=jobs&flowId={flow}&sort=state.startDate:desc")["results"]
        return found[0] if found else {}

    def state(self, execution_id: str) -> str:
        return str(self.call(f"/api/v1/executions/{execution_id}")["state"]["current"])


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _clean() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR_", "RAY_"))}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        found.start()
        yield found
    finally:
        found.end()


@contextmanager
def standalone(cluster: Cluster, *arguments: str, data: Path | None = None, environ: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`server standalone`, ended by SIGTERM on the way out."""
    command = [*ORCHESTRATOR, "server", "standalone", "--data", str(data or cluster.data), *arguments]
    log = (cluster.folder / "standalone.log").open("wb")
    process = subprocess.Popen(
        command, env={**cluster.environ(), **(environ or {})}, cwd=cluster.job_folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        log.close()


def _said(cluster: Cluster) -> str:
    return (cluster.folder / "standalone.log").read_text()


def _ready(cluster: Cluster, process: subprocess.Popen[bytes]) -> None:
    eventually(lambda: "Ready at" in _said(cluster) or process.poll() is not None, within=90, what="the server is ready")
    assert process.poll() is None, _said(cluster)


# --- jobs, in the order in which a cluster sees them


def test_a_job_without_a_lasting_place_for_the_store_starts_nothing(cluster: Cluster) -> None:
    inside = f"{cluster.node.temp_dir}/session_latest/data"
    wrong: list[dict[str, str]] = [
        {"ORCHESTRATOR_DATA": ""},
        {"ORCHESTRATOR_DATA": "data"},
        {"ORCHESTRATOR_DATA": inside},
        {"ORCHESTRATOR_DATABASE": "sqlite:///orchestrator.db"},
    ]
    with ThreadPoolExecutor(len(wrong)) as pool:
        ends = list(pool.map(lambda given: cluster.ran("flows/hello.yaml", "-i", "a=b", **given), wrong))
    for given, (status, code, said) in zip(wrong, ends, strict=True):
        assert (status, code) == ("FAILED", 2), (given, said)
        assert "error[bad-settings]" in said, said
        assert "Traceback" not in said
    assert "ORCHESTRATOR_DATA" in ends[0][2]
    assert "ORCHESTRATOR_DATABASE" in ends[3][2]
    assert cluster.ours() == []
    assert not Path(inside).exists()


def test_two_jobs_at_once_start_one_executor_and_share_it(cluster: Cluster) -> None:
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda name: cluster.ran("flows/hello.yaml", "-i", f"a={name}"), ("one", "two")))
    for name, (status, code, said) in zip(("one", "two"), ends, strict=True):
        assert (status, code) == ("SUCCEEDED", 0), said
        assert said.index(f"hello {name}") < said.index("from the shell") < said.index("SUCCESS  jobs.hello")
    assert len(cluster.actors("ExecutorActor")) == len(cluster.actors("ApiActor")) == len(cluster.actors("WorkerActor")) == 1


def test_no_module_of_a_job_reaches_the_executor(cluster: Cluster) -> None:
    executor = cluster.actors("ExecutorActor")[0].pid
    assert cluster.ran("flows/hello.yaml", "-i", "a=b")[:2] == ("SUCCEEDED", 0)
    assert [file.read_text() for file in cluster.imported.iterdir()] == []
    assert cluster.actors("ExecutorActor")[0].pid == executor


def test_the_default_worker_is_on_the_head_that_declares_no_group(cluster: Cluster) -> None:
    told = cluster.call("/api/v1/workers")
    workers = told["workers"] if isinstance(told, dict) else told
    assert [worker["group"] for worker in workers] == [""]


def test_the_command_of_ray_streams_the_log_and_fails_with_the_run(cluster: Cluster) -> None:
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", f"http://{cluster.node.dashboard}", "--working-dir", "."]
    command += ["--runtime-env-json", json.dumps({"env_vars": {"ORCHESTRATOR_DATA": str(cluster.data)}}), "--", "orchestrator", "run", "flows/fail.yaml"]
    done = subprocess.run(command, env=cluster.environ(), cwd=cluster.job_folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "before the end" in done.stdout
    assert "FAILED  jobs.fail" in done.stdout + done.stderr


def test_a_failed_run_fails_its_job_with_exit_code_1(cluster: Cluster) -> None:
    status, code, said = cluster.ran("flows/fail.yaml")
    assert (status, code) == ("FAILED", 1), said


def test_a_job_with_a_bad_flow_shows_the_line_and_exits_with_2(cluster: Cluster) -> None:
    status, code, said = cluster.ran("flows/bad.yaml")
    assert (status, code) == ("FAILED", 2), said
    assert "flows/bad.yaml:4" in said
    assert "did you mean `message`?" in said


def _running(cluster: Cluster, job: str) -> str:
    """The execution that a job follows, once its command runs."""
    eventually(lambda: "waiting" in cluster.jobs.get_job_logs(job), within=60, what="the command runs")
    return str(cluster.newest("long")["id"])


def test_stopping_a_job_kills_its_execution(cluster: Cluster) -> None:
    job = cluster.submit("flows/long.yaml")
    execution = _running(cluster, job)
    cluster.jobs.stop_job(job)
    eventually(lambda: cluster.state(execution) in ENDED, within=15, what="the execution has ended")
    assert cluster.state(execution) == "KILLED"
    assert cluster.ended(job).status.value == "STOPPED"


def test_stopping_a_detached_job_leaves_its_execution_going(cluster: Cluster) -> None:
    job = cluster.submit("flows/long.yaml", "--detach")
    execution = _running(cluster, job)
    cluster.jobs.stop_job(job)
    assert cluster.ended(job).status.value == "STOPPED"
    assert "left running" in cluster.jobs.get_job_logs(job)
    assert cluster.state(execution) == "RUNNING"
    cluster.call(f"/api/v1/executions/{execution}/kill", "DELETE")
    eventually(lambda: cluster.state(execution) == "KILLED", within=15, what="the execution has been killed")


# --- server standalone


def test_a_standalone_server_takes_over_what_a_job_started_and_ends_it_when_stopped(cluster: Cluster) -> None:
    executor = cluster.actors("ExecutorActor")[0].pid
    with standalone(cluster) as process:
        _ready(cluster, process)
        assert cluster.actors("ExecutorActor")[0].pid == executor
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert cluster.ours() == []
    assert cluster.jobs.list_jobs()  # the cluster goes on


def test_a_standalone_server_runs_a_flow_and_leaves_the_cluster_alive(cluster: Cluster) -> None:
    port = ray_processes.free_ports(1)[0]
    with standalone(cluster, "--port", str(port)) as process:
        _ready(cluster, process)
        assert f"Ready at http://127.0.0.1:{port}" in _said(cluster)
        assert cluster.newest("hello")["state"]["current"] == "SUCCESS"  # of the executor before
        body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nhttp\r\n--x--\r\n'
        ended = cluster.call("/api/v1/executions/jobs/hello?wait=true", "POST", body, "multipart/form-data; boundary=x")
        assert ended["state"]["current"] == "SUCCESS"
        assert cluster.ran("flows/hello.yaml", "-i", "a=b")[:2] == ("SUCCEEDED", 0)
        before = time.monotonic()
        process.terminate()
        assert process.wait(15) == 0, _said(cluster)
        assert time.monotonic() - before < 15
    assert cluster.ours() == []
    assert [file.read_text() for file in cluster.imported.iterdir()] == []


def test_a_standalone_server_refuses_what_it_cannot_have(cluster: Cluster, tmp_path: Path) -> None:
    busy = cluster.node.dashboard.rpartition(":")[2]
    with standalone(cluster, "--port", busy) as process:
        assert process.wait(60) == 2
        assert f"port {busy}" in _said(cluster)
        assert "--port" in _said(cluster)
    assert cluster.ours() == []
    with standalone(cluster, "--port", str(ray_processes.free_ports(1)[0])) as first:
        _ready(cluster, first)
        command = [*ORCHESTRATOR, "server", "standalone", "--data"]
        same = subprocess.run([*command, str(cluster.data)], env=cluster.environ(), capture_output=True, text=True, timeout=60, check=False)
        assert (same.returncode, "a server already runs" in same.stderr) == (2, True), same.stderr
        other = subprocess.run([*command, str(tmp_path / "other")], env=cluster.environ(), capture_output=True, text=True, timeout=60, check=False)
        assert (other.returncode, str(cluster.data) in other.stderr) == (2, True), other.stderr
        assert len(cluster.actors("ExecutorActor")) == 1


def test_a_standalone_server_that_is_stopped_while_it_starts_leaves_nothing(cluster: Cluster) -> None:
    with standalone(cluster, "--port", str(ray_processes.free_ports(1)[0])) as process:
        eventually(lambda: cluster.actors("ExecutorActor") or process.poll() is not None, within=60, what="the executor is being made")
        process.terminate()
        assert process.wait(30) == 0, _said(cluster)
    assert cluster.ours() == []


# --- no cluster


def _job_on(environ: Mapping[str, str], flow: Path) -> subprocess.CompletedProcess[str]:
    surroundings = {**environ, "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}
    return subprocess.run([*ORCHESTRATOR, "run", str(flow), "-i", "a=b"], env=surroundings, capture_output=True, text=True, timeout=60, check=False)


def test_a_job_whose_cluster_does_not_answer_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "hello.yaml").write_text(HELLO)
    address = f"127.0.0.1:{ray_processes.free_ports(1)[0]}"
    done = _job_on({**_clean(), "RAY_ADDRESS": address}, tmp_path / "hello.yaml")
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"error[unavailable]: no Ray cluster answers at {address}; see that its head node runs and that this machine reaches it"
    ]


def test_a_job_with_the_wrong_token_says_so_in_one_line(cluster: Cluster) -> None:
    environ = {key: value for key, value in cluster.environ().items() if key != "RAY_AUTH_TOKEN_PATH"}
    done = _job_on({**environ, "RAY_AUTH_TOKEN": "0" * 64}, cluster.job_folder / "flows" / "hello.yaml")
    assert done.returncode in (2, 3)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "token" in done.stderr


def test_a_standalone_server_ends_with_one_line_when_its_cluster_is_gone(cluster: Cluster) -> None:
    """The last test of this cluster."""
    with standalone(cluster, "--port", str(ray_processes.free_ports(1)[0])) as process:
        _ready(cluster, process)
        cluster.end()
        assert process.wait(30) in (2, 3)
        assert "is gone" in _said(cluster).splitlines()[-1]
