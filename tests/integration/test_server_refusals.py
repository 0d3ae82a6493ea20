"""What a server refuses, and what its tasks are told: each one clear message with the remedy, and nothing half done."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.runtime import ray_processes
from tests.conftest import missing
from tests.integration.local_server import LocalServer, eventually
from tests.integration.shell import Shell
from tests.integration.test_refusals import BAD_YAML, GOOD, UNKNOWN_TYPE, WANTS

TOKEN, KEY, SECRET = "the-token-of-this-test", base64.b64encode(b"a key of 32 bytes, for one test!").decode(), "a secret for one test"
WAYS_OUT = "start the engine or mount its socket, or run the task on the worker itself with `taskRunner: {type: io.kestra.plugin.core.runner.Process}`"
PRIVATE = (TOKEN, KEY, SECRET, base64.b64encode(SECRET.encode()).decode())

SOCKET = Path("/var/run/docker.sock")
HIDES = os.geteuid() == 0 and shutil.which("unshare") is not None and SOCKET.exists()


@pytest.fixture
def no_engine() -> None:
    """That no Docker engine answers the server: none is here, or it is hidden."""
    if SOCKET.exists() and not HIDES:
        missing("root and unshare, to hide this machine's Docker engine")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("refusals")
    environ = {"ORCHESTRATOR_ENCRYPTION_SECRET_KEY": KEY, "SECRET_X": PRIVATE[3]}
    server = LocalServer(folder, environ=environ, token=TOKEN, wrap=_hiding(folder) if HIDES else ())
    try:
        server.start()
        yield server
    finally:
        server.end()


def _hiding(folder: Path) -> tuple[str, ...]:
    """Wraps a command so that it finds no engine at the usual place, but at `engine.sock` in the folder."""
    aside = folder / "engine.sock"
    return ("unshare", "-m", "sh", "-c", f'touch "{aside}" && mount --bind {SOCKET} "{aside}" && mount --bind /dev/null {SOCKET} && exec "$@"', "sh")


@pytest.fixture
def user(server: LocalServer, tmp_path: Path) -> Iterator[Shell]:
    """Somebody with the server's token."""
    shell = Shell(tmp_path, {"ORCHESTRATOR_SERVER": server.url, "ORCHESTRATOR_API_TOKEN": TOKEN})
    try:
        yield shell
        assert shell.processes() == []
        assert not shell.data.exists()
    finally:
        shell.end()


def _rows(server: LocalServer) -> tuple[int, int]:
    """How many flows and executions there are."""
    flows, executions = (server.call("GET", f"/api/v1/{noun}/search?size=1")["total"] for noun in ("flows", "executions"))
    return flows, executions


@pytest.mark.ray
@pytest.mark.timeout(300)
class TestWithAServer:
    @pytest.mark.alone
    def test_a_flow_of_one_log_task_takes_less_than_a_second(self, server: LocalServer, user: Shell) -> None:
        file = user.file("good.yaml", GOOD)
        runs = [user.type("run", file) for _ in range(4)]
        assert [run.code for run in runs] == [0] * 4, runs[0].err
        assert min(run.seconds for run in runs) < 1.0, [run.seconds for run in runs]

    @pytest.mark.parametrize("given", ["not-the-token", ""])
    def test_a_wrong_token_opens_nothing(self, server: LocalServer, user: Shell, given: str) -> None:
        before = _rows(server)
        environ = {"ORCHESTRATOR_API_TOKEN": given}
        said = user.type("run", user.file("other.yaml", GOOD.replace("good", "other")), environ=environ)
        assert said.code == 2
        assert said.complaint.startswith(f"error[not-allowed]: {server.url} refuses the API token")
        assert "help: give the server's own with ORCHESTRATOR_API_TOKEN or --api-token" in said.err
        joined = user.type("server", "worker", "--worker-group=gpu", f"--server={server.url}", environ=environ)
        assert joined.code == 2
        assert joined.complaint.startswith(f"error[not-allowed]: {server.url} does not accept ")
        assert "ORCHESTRATOR_API_TOKEN or --api-token" in joined.complaint
        assert _rows(server) == before

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [("bad.yaml", BAD_YAML, "error[bad-yaml]"), ("lag.yaml", UNKNOWN_TYPE, "core.log.Lag"), ("wants.yaml", WANTS, "refusals.wants was not started: who: ")],
    )
    def test_a_flow_that_cannot_run_leaves_no_row(self, server: LocalServer, user: Shell, name: str, text: str, told: str) -> None:
        before = _rows(server)
        said = user.type("run", user.file(name, text))
        assert said.code == 2
        assert told in said.complaint, said.err
        assert name == "wants.yaml" or f"--> {name}:5:" in said.err, said.err
        assert _rows(server) == before

    def test_a_second_server_on_the_folder_is_refused_and_the_first_goes_on(self, server: LocalServer, user: Shell) -> None:
        said = user.type("server", "local", "--data", str(server.data), "--port", str(user.port))
        assert said.code == 2
        assert f"a server already runs on {server.data}" in said.complaint
        assert "stop it with `orchestrator server stop`, or name another folder with --data" in said.complaint
        assert server.healthy()
        assert server.mark() is not None

    @pytest.mark.usefixtures("no_engine")
    def test_without_an_engine_a_task_without_an_image_runs_as_a_process_and_says_so(self, server: LocalServer, user: Shell) -> None:
        text = "id: plain\nnamespace: refusals\ntasks:\n  - {id: say, type: scripts.shell.Commands, commands: [echo hello]}\n"
        said = user.type("run", user.file("plain.yaml", text))
        assert said.code == 0, said.err
        warnings = [line for line in _log(server, "plain") if line["level"] == "WARN"]
        assert len(warnings) == 1, warnings
        assert "No Docker engine answers and the task names no containerImage: it runs as a process" in warnings[0]["message"]
        assert "hello" in [line["message"] for line in _log(server, "plain")]

    @pytest.mark.usefixtures("no_engine")
    def test_an_unreachable_engine_is_named_with_both_ways_out(self, server: LocalServer, user: Shell) -> None:
        _fails_clearly(
            server, user, "no_engine", "", f"no Docker engine answers at unix://{SOCKET}: start the engine or mount its socket, or run the task on the"
        )

    def test_an_unreachable_host_is_named_with_both_ways_out(self, server: LocalServer, user: Shell) -> None:
        host = f"tcp://127.0.0.1:{user.port}"
        runner = f"taskRunner: {{type: scripts.runner.docker.Docker, host: {host!r}}}"
        _fails_clearly(server, user, "no_host", runner, f"no Docker engine answers at {host}: {WAYS_OUT}")

    @pytest.mark.docker
    def test_a_missing_image_is_named_before_anything_is_created(self, server: LocalServer, user: Shell) -> None:
        host = f"unix://{server.data.parent / 'engine.sock' if HIDES else SOCKET}"
        for policy, told in (("NEVER", "`pullPolicy: NEVER` forbids to pull it: load it there, or"), ("IF_NOT_PRESENT", "cannot be pulled (")):
            runner = f"taskRunner: {{type: scripts.runner.docker.Docker, host: {host!r}, pullPolicy: {policy}}}"
            message = _fails_clearly(server, user, f"image_{policy.lower()}", runner, "image `localhost:1/no/such:image` not found")
            assert told in message
        made = subprocess.run(["docker", "ps", "-aq", "--filter", "ancestor=localhost:1/no/such:image"], capture_output=True, text=True, check=True).stdout
        assert made == ""

    def test_secrets_are_in_the_settings_file_alone(self, server: LocalServer, user: Shell) -> None:
        text = "id: knows\nnamespace: refusals\ntasks:\n  - {id: say, type: core.log.Log, message: \"it is {{ secret('X') }}\"}\n"
        text += "  - {id: look, type: scripts.shell.Commands, taskRunner: {type: core.runner.Process}, commands: [env]}\n"
        said = user.type("run", user.file("knows.yaml", text))
        assert said.code == 0, said.err
        mark = server.mark()
        assert mark is not None
        told = "\n".join(line["message"] for line in _log(server, "knows"))
        assert _private_in(said.out + said.err + told + server.said()) == []
        assert server.launcher is not None
        for process in [*ray_processes.marked(mark), psutil.Process(server.launcher.pid)]:
            assert _private_in(" ".join(process.cmdline())) == [], process
            assert process.pid == server.launcher.pid or _private_in("\n".join(process.environ().values())) == [], process
        assert _files_with_private(_ray_folder(server)) == []
        assert _files_with_private(server.data) == ["settings.json"]
        assert (server.data / "settings.json").stat().st_mode & 0o777 == 0o600

    def test_a_worker_knows_no_token_of_the_server_and_leaves_nothing_when_told_to_stop(self, server: LocalServer, user: Shell) -> None:
        for joined in (False, True):
            worker = user.begin("server", "worker", "--worker-group=gpu", f"--server={server.url}", environ={"SECRET_X": PRIVATE[3]})
            try:
                eventually(lambda: any("raylet" in line for line in user.processes()), within=60, what="its node starts")
                if joined:
                    assert any(line.startswith("Joined.") for line in worker.stderr or ())
                    assert _knowing(user, but=worker.pid) == []
                before = time.monotonic()
                worker.terminate()
                _, err = worker.communicate(timeout=30)
            finally:
                worker.kill()
            assert worker.returncode == 0, err
            assert time.monotonic() - before < 15
            assert "error" not in err
            assert user.processes() == []


def _knowing(user: Shell, *, but: int) -> list[int]:
    """The processes of what was typed that hold a private text in their command line or environment."""
    found = []
    for process in map(psutil.Process, (int(line.split()[0]) for line in user.processes())):
        held = [*process.cmdline(), *([] if process.pid == but else process.environ().values())]
        found += [process.pid] if _private_in("\n".join(held)) else []
    return found


def _fails_clearly(server: LocalServer, user: Shell, name: str, runner: str, told: str) -> str:
    """Run one task in a container that cannot be had: the run fails, and its one error says why. The error."""
    task = f"  - id: work\n    type: scripts.shell.Commands\n    containerImage: localhost:1/no/such:image\n    commands: [echo never]\n    {runner}\n"
    said = user.type("run", user.file(f"{name}.yaml", f"id: {name}\nnamespace: refusals\ntasks:\n{task}"))
    assert said.code == 1, said.err
    errors = [line["message"] for line in _log(server, name) if line["level"] == "ERROR"]
    assert len(errors) == 1, errors
    assert told in errors[0]
    assert errors[0] in said.err, "the command's last words say why"
    return str(errors[0])


def _log(server: LocalServer, flow: str) -> list[dict[str, str]]:
    """The log of a flow's last execution."""
    last = server.call("GET", f"/api/v1/executions/search?flowId={flow}&size=1&sort=state.startDate:desc")["results"][0]
    found: list[dict[str, str]] = server.call("GET", f"/api/v1/logs/{last['id']}")
    return found


def _private_in(text: str) -> list[str]:
    return [word for word in PRIVATE if word in text]


def _files_with_private(folder: Path) -> list[str]:
    """Paths below a folder of the files that hold any of the private texts."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [str(path.relative_to(folder)) for path in files if any(word.encode() in path.read_bytes() for word in PRIVATE)]


def _ray_folder(server: LocalServer) -> Path:
    import json

    folder = Path(json.loads((server.data / "cluster.json").read_text())["temp_dir"])
    assert any(folder.rglob("*.log")), "Ray's logs are there"
    return folder
