"""What cannot be done is refused with one clear message that names the remedy, an exit code, and nothing left half done."""

from __future__ import annotations

import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.integration.shell import Shell

GOOD = "id: good\nnamespace: refusals\ntasks:\n  - {id: hello, type: core.log.Log, message: Hello}\n"
BAD_YAML = "id: bad_yaml\nnamespace: refusals\ntasks:\n  - {id: hello, type: core.log.Log, message: Hello\n"
UNKNOWN_TYPE = "id: unknown_type\nnamespace: refusals\ntasks:\n  - id: hello\n    type: core.log.Lag\n    message: Hello\n"
WANTS = GOOD.replace("id: good", "id: wants") + "inputs:\n  - {id: who, type: STRING}\n  - {id: count, type: INT, defaults: 3}\n"


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
        missing("unshare: root may write anywhere")
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
