"""What cannot be done is refused with one clear message that names the remedy, an exit code, and nothing left half done."""

from __future__ import annotations

import base64
import http.server
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator.runtime import ray_processes
from tests.integration.local_server import LocalServer, eventually
from tests.integration.shell import Shell

GOOD = "id: good\nnamespace: refusals\ntasks:\n  - {id: hello, type: core.log.Log, message: Hello}\n"
BAD_YAML = "id: bad_yaml\nnamespace: refusals\ntasks:\n  - {id: hello, type: core.log.Log, message: Hello\n"
UNKNOWN_TYPE = "id: unknown_type\nnamespace: refusals\ntasks:\n  - id: hello\n    type: core.log.Lag\n    message: Hello\n"
WANTS = GOOD.replace("id: good", "id: wants") + "inputs:\n  - {id: who, type: STRING}\n  - {id: count, type: INT, defaults: 3}\n"
TOKEN, KEY, SECRET = "the-token-of-this-test", base64.b64encode(b"a key of 32 bytes, for one test!").decode(), "a secret for one test"
WAYS_OUT = "start the engine or mount its socket, or run the task on the worker itself with `taskRunner: {type: io.kestra.plugin.core.runner.Process}`"
PRIVATE = (TOKEN, KEY, SECRET, base64.b64encode(SECRET.encode()).decode())


# --- without a server


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "home")
    try:
        yield shell
        assert shell.processes() == []
    finally:
        shell.end()


def test_bad_yaml_is_shown_where_it_stands(shell: Shell) -> None:
    for command in (("run",), ("flow", "validate")):
        said = shell.type(*command, shell.file("bad.yaml", BAD_YAML))
        assert said.code == 2
        assert said.complaint.startswith("error[bad-yaml]"), said.err
        assert "--> bad.yaml:5:1" in said.complaint
    assert not shell.data.exists(), "nothing was started for a flow that cannot run"


def test_an_unknown_type_is_refused_with_the_nearest_that_is_known(shell: Shell) -> None:
    for command in (("run",), ("flow", "validate")):
        said = shell.type(*command, shell.file("lag.yaml", UNKNOWN_TYPE))
        assert said.code == 2
        assert "core.log.Lag" in said.complaint
        assert "--> lag.yaml:5:11" in said.complaint
        assert "core.log.Log" in said.complaint.partition("did you mean")[2]
    assert not shell.data.exists()


def test_a_missing_input_is_named_and_how_to_give_it(shell: Shell) -> None:
    said = shell.type("run", shell.file("wants.yaml", WANTS))
    assert said.code == 2
    assert said.complaint.startswith("error[input-invalid]: refusals.wants was not started: who: ")
    assert "help: give it with -i KEY=VALUE" in said.err
    assert not shell.data.exists(), "no server was started for it"


def test_an_input_of_the_wrong_type_is_refused_too(shell: Shell) -> None:
    said = shell.type("run", shell.file("wants.yaml", WANTS), "-i", "who=me", "-i", "count=many")
    assert said.code == 2
    assert "count: " in said.complaint
    assert "many" in said.complaint
    assert not shell.data.exists()


def test_a_flow_that_is_not_there_is_named(shell: Shell) -> None:
    said = shell.type("run", "nowhere.yaml")
    assert said.code == 2
    assert said.complaint == "error[refused]: no such file: nowhere.yaml\n"


def test_a_server_that_does_not_answer_is_named_with_what_to_do(shell: Shell) -> None:
    said = shell.type("run", shell.file("good.yaml", GOOD), "--server", f"http://127.0.0.1:{shell.port}")
    assert said.code == 3
    assert said.complaint.startswith(f"error[server-unreachable]: no server answers at http://127.0.0.1:{shell.port} (Connection refused)")
    assert "help: start one with `orchestrator server local`" in said.err


@pytest.fixture
def taken(shell: Shell) -> Iterator[int]:
    """The shell's port, with a web server on it that is not ours."""
    with http.server.HTTPServer(("127.0.0.1", shell.port), http.server.BaseHTTPRequestHandler) as other:
        thread = threading.Thread(target=other.serve_forever, daemon=True)
        thread.start()
        yield shell.port
        other.shutdown()
        thread.join()


def test_a_taken_port_is_refused_before_anything_is_made(shell: Shell, taken: int) -> None:
    said = shell.type("server", "local")
    assert said.code == 2
    assert said.complaint == f"error[bad-settings]: port {taken} of 127.0.0.1 cannot be used; choose another with --port\n"
    assert not shell.data.exists()


def test_a_stranger_on_the_port_is_not_taken_for_a_server(shell: Shell, taken: int) -> None:
    said = shell.type("run", shell.file("good.yaml", GOOD))
    assert said.code == 3
    assert "answers, but not as an orchestrator server" in said.complaint
    assert "--server" in said.complaint
    joined = shell.type("server", "worker", "--worker-group=gpu")
    assert joined.code == 2
    assert "not as an orchestrator server: name the right address with --server" in joined.complaint
    assert not shell.data.exists()


def test_a_database_that_is_none_is_left_as_it_is(shell: Shell) -> None:
    shell.data.mkdir()
    database = shell.data / "orchestrator.db"
    database.write_bytes(b"this is not a database, and long enough to be looked at: " * 4)
    before = database.read_bytes()
    for command, code in ((("server", "local"), 2), (("run", shell.file("good.yaml", GOOD)), 3)):
        said = shell.type(*command)
        assert said.code == code
        assert f"The database {database} cannot be used: it is not an SQLite database; name another file, or move this one away" in said.complaint
    assert database.read_bytes() == before
    assert sorted(path.name for path in shell.data.iterdir()) == ["launcher.lock", "orchestrator.db", "server.log"]


def test_a_damaged_database_is_refused_with_the_way_back(shell: Shell) -> None:
    from orchestrator.store.opening import open_store

    shell.data.mkdir()
    database = shell.data / "orchestrator.db"
    open_store(f"sqlite:///{database}", migrate=True).close()
    whole = database.read_bytes()
    database.write_bytes(whole[: len(whole) // 2])
    said = shell.type("server", "local")
    assert said.code == 2
    assert "the file is damaged; move it away and put a backup" in said.complaint
    assert not (shell.data / "cluster.json").exists()


def _read_only(folder: Path) -> tuple[str, ...]:
    """What a command is wrapped in so that it cannot write a folder; root would write through its mode."""
    folder.mkdir()
    if os.geteuid() != 0:
        folder.chmod(0o500)
        return ()
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: root may write anywhere")
    return ("unshare", "-m", "sh", "-c", f'mount --bind "{folder}" "{folder}" && mount -o remount,ro,bind "{folder}" && exec "$@"', "sh")


def test_a_folder_that_cannot_be_written_is_named(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "fixed"
    wrap = _read_only(folder)
    for data in (folder, folder / "below"):
        said = shell.type("server", "local", "--data", str(data), wrap=wrap)
        assert said.code == 2
        assert f"the data folder {data} cannot be used (" in said.complaint
        assert "make it writable for this user, or name another" in said.complaint
    assert list(folder.iterdir()) == []


def test_others_are_let_in_only_by_a_token(shell: Shell) -> None:
    said = shell.type("server", "local", "--host", "0.0.0.0")
    assert said.code == 2
    assert said.complaint == "error[bad-settings]: host 0.0.0.0 can be reached by others: set ORCHESTRATOR_API_TOKEN first, or bind 127.0.0.1\n"
    assert not shell.data.exists()


def test_an_encryption_key_that_is_none_is_refused_and_not_shown(shell: Shell) -> None:
    said = shell.type("server", "local", environ={"ORCHESTRATOR_ENCRYPTION_SECRET_KEY": "hunter2"})
    assert said.code == 2
    assert said.complaint == (
        "error[bad-settings]: ORCHESTRATOR_ENCRYPTION_SECRET_KEY must be the base64 of 32 bytes; make one with: openssl rand -base64 32\n"
    )
    assert "hunter2" not in said.err
    assert not shell.data.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port: [\n", "orchestrator.yaml is not YAML that can be read: line 2"),
        ("prot: 9000\n", "orchestrator.yaml: unknown setting `prot`; did you mean `port`?"),
        ("slots: many\n", "orchestrator.yaml: `slots` must be a valid integer"),
        ("- port\n", "orchestrator.yaml: a map of settings is expected"),
    ],
)
def test_a_bad_configuration_file_is_named_with_what_is_wrong(shell: Shell, text: str, told: str) -> None:
    shell.file("orchestrator.yaml", text)
    for command in (("server", "local"), ("run", shell.file("good.yaml", GOOD))):
        said = shell.type(*command)
        assert said.code == 2
        assert said.complaint.startswith(f"error[bad-settings]: {told}"), said.err
    assert not shell.data.exists()


def test_a_bad_variable_is_named(shell: Shell) -> None:
    said = shell.type("server", "local", environ={"ORCHESTRATOR_PORT": "web"})
    assert said.code == 2
    assert said.complaint.startswith("error[bad-settings]: ORCHESTRATOR_PORT must be a valid integer")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--server=http://127.0.0.1:{port}",), "no server answers at http://127.0.0.1:{port} ([Errno 111] Connection refused): start it, or name the right"),
        (("--server=ftp://head",), "`ftp://head` is not a server's address: write it as http://HOST:PORT"),
        (("--label=gpu",), "--label takes KEY=VALUE, not `gpu`"),
    ],
)
def test_a_worker_that_cannot_join_says_why(shell: Shell, words: tuple[str, ...], told: str) -> None:
    said = shell.type("server", "worker", "--worker-group=gpu", *(word.format(port=shell.port) for word in words))
    assert said.code == 2
    assert told.format(port=shell.port) in said.complaint
    assert said.complaint.count("\n") == 1, said.err


# --- with a server that has an API token, an encryption key and a secret, and, where root may hide it, no Docker engine

SOCKET = Path("/var/run/docker.sock")
HIDES = os.geteuid() == 0 and shutil.which("unshare") is not None and SOCKET.exists()


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

    @pytest.mark.skipif(SOCKET.exists() and not HIDES, reason="only root can hide this machine's Docker engine")
    def test_without_an_engine_a_task_without_an_image_runs_as_a_process_and_says_so(self, server: LocalServer, user: Shell) -> None:
        text = "id: plain\nnamespace: refusals\ntasks:\n  - {id: say, type: scripts.shell.Commands, commands: [echo hello]}\n"
        said = user.type("run", user.file("plain.yaml", text))
        assert said.code == 0, said.err
        warnings = [line for line in _log(server, "plain") if line["level"] == "WARN"]
        assert len(warnings) == 1, warnings
        assert "No Docker engine answers and the task names no containerImage: it runs as a process" in warnings[0]["message"]
        assert "hello" in [line["message"] for line in _log(server, "plain")]

    @pytest.mark.skipif(SOCKET.exists() and not HIDES, reason="only root can hide this machine's Docker engine")
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
