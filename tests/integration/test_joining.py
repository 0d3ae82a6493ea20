"""Machines that join a real server: who may and who may not, and what becomes of them when the cluster goes, moves or gets a new token."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from orchestrator import __version__
from orchestrator.model.run_token import RunTokens
from orchestrator.runtime import ray_processes
from orchestrator.runtime.join_client import own_versions
from orchestrator.store.opening import open_store
from tests.integration.local_server import ORCHESTRATOR, LocalServer, eventually, local_server
from tests.integration.machines import Machine, clean, machine, tried

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

ADMIN = "the-administrators-token"
ROOT = Path(__file__).resolve().parents[2]
FLOW = """
id: {id}
namespace: joining
tasks:
  - id: where
    type: io.kestra.plugin.scripts.shell.Commands
    taskRunner: {{type: io.kestra.plugin.core.runner.Process}}
    workerGroup: {{key: {group}}}
    commands: ["echo begun >> {folder}/{id}; sleep {seconds}"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    with local_server(tmp_path_factory.mktemp("joining"), token=ADMIN) as found:
        found.call("POST", "/api/v1/worker-groups", {"key": "gpu"})
        found.call("POST", "/api/v1/worker-groups", {"key": "cpu"})
        yield found


def minted(server: LocalServer, **asked: Any) -> tuple[str, str]:
    """A token's text and uid."""
    told = server.call("POST", "/api/v1/tokens", {"role": "join", "name": "box", **asked})
    return told["token"], told["details"]["uid"]


def typed(server: LocalServer, *words: str, token: str = ADMIN) -> subprocess.CompletedProcess[str]:
    environ = {**clean(), "ORCHESTRATOR_SERVER": server.url, "ORCHESTRATOR_API_TOKEN": token}
    return subprocess.run([*ORCHESTRATOR, *words], env=environ, capture_output=True, text=True, timeout=200, check=False)


def nodes(server: LocalServer) -> int:
    """How many machines have a raylet of a worker of this server."""
    return sum("raylet" in process.name() for process in _workers_of(server))


def _workers_of(server: LocalServer) -> list[Any]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ORCHESTRATOR_WORKER_SERVER") == server.url:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


# --- who may not


def test_a_token_that_is_not_for_joining_this_group_now_is_refused_in_one_line_with_exit_code_2(server: LocalServer) -> None:
    flow = server.flow("id: noted\nnamespace: joining\ntasks:\n  - {id: a, type: io.kestra.plugin.core.debug.Return, format: x}\n")
    execution = server.execute(flow, wait=True)["id"]
    of_another_group, _ = minted(server, group="cpu")
    of_looking, _ = minted(server, role="view")
    revoked, uid = minted(server, group="gpu")
    server.call("POST", f"/api/v1/tokens/{uid}/revoke")
    expired, uid = minted(server, group="gpu", expiresAt=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    eventually(lambda: not _valid(server, uid), within=10, what="the token has expired")
    refusals = {
        of_another_group: "this token (box) joins machines to worker group 'cpu', not to worker group 'gpu'",
        of_looking: "this is a view token: it looks at flows, executions, logs and workers, and may do nothing else",
        revoked: "this token (box) has been revoked",
        expired: "this token (box) has expired",
        _of_run(server, execution): "this is the token of a run: it opens what belongs to its execution, and nothing else",
        "not-the-token": "a token is needed, or this is not the right one",
        "": "a token is needed, or this is not the right one",
    }
    for token, why in refusals.items():
        code, said = tried(server, "--worker-group=gpu", token=token)
        assert (code, why in said) == (2, True), said
        assert said.startswith("error[not-allowed]: ")
        assert token == "" or token not in said
    assert nodes(server) == 0


def _valid(server: LocalServer, uid: str) -> bool:
    return next(bool(token["valid"]) for token in server.call("GET", "/api/v1/tokens")["tokens"] if token["uid"] == uid)


def _of_run(server: LocalServer, execution: str) -> str:
    """A run's own token, as the executor mints it."""
    store = open_store(f"sqlite:///{server.data / 'orchestrator.db'}", migrate=False, read_only=True)
    secret = base64.b64decode(store.installation().secrets["tokens"])
    store.close()
    return RunTokens(secret).mint(execution, datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--worker-group=gpuu",), "error[not-found]: worker group 'gpuu' is not declared; did you mean 'gpu'? Declare it with"),
        (("--worker-group=g p u",), "error[bad-settings]: `g p u` is not a worker group's key"),
        (("--worker-group=gpu", "--server=http://127.0.0.1:9"), "error[server-unreachable]: no server answers at http://127.0.0.1:9"),
        (("--worker-group=gpu", "--server=ftp://x"), "error[bad-settings]: `ftp://x` is not a server's address"),
        (("--worker-group=gpu", "--label=zone"), "error[bad-settings]: --label takes KEY=VALUE, not `zone`"),
        (("--worker-group=gpu", "--label=orchestrator-node=x"), "error[bad-settings]: --label `orchestrator-node` is not yours to set"),
        (("--worker-group=gpu", "--label=a=b c"), "error[bad-settings]: --label `a=b c` holds what a label may not"),
        (("--worker-group=gpu", "--grace=soon"), "error[bad-settings]: --grace takes a duration such as PT5M or 90s, not `soon`"),
    ],
)
def test_what_a_machine_is_refused_for_is_one_line_and_exit_code_2(server: LocalServer, args: tuple[str, ...], said: str) -> None:
    code, told = tried(server, *args, token=ADMIN)
    assert (code, told[: len(said)]) == (2, said)
    assert nodes(server) == 0


def test_a_join_token_declares_no_group(server: LocalServer) -> None:
    token, _ = minted(server)
    code, said = tried(server, "--worker-group=new", "--create", token=token)
    assert (code, "only the administrator's token declares a worker group" in said) == (2, True)


@pytest.mark.parametrize(("version", "is_served"), [("0.0.9", False), ("9.0.0", False), (".".join([*__version__.split(".")[:2], "99"]), True)])
def test_a_machine_with_another_version_of_the_project_is_refused_or_served_by_the_rule(
    server: LocalServer, tmp_path: Path, version: str, is_served: bool
) -> None:
    package = tmp_path / "orchestrator"
    shutil.copytree(ROOT / "orchestrator", package, ignore=shutil.ignore_patterns("__pycache__"))
    source = package / "__init__.py"
    source.write_text(source.read_text().replace(f'"{__version__}"', f'"{version}"'))
    environ = {**clean(), "PYTHONPATH": str(tmp_path), "ORCHESTRATOR_SERVER": server.url, "ORCHESTRATOR_API_TOKEN": ADMIN}
    command = [sys.executable, "-m", "orchestrator.cli.main", "server", "worker", "--worker-group=gpu"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=said, stderr=said, start_new_session=True)
    try:
        eventually(lambda: process.poll() is not None or "Joined" in (tmp_path / "said").read_text(), within=60, what="it is served or refused")
        told = (tmp_path / "said").read_text()
        if is_served:
            assert "Joined" in told
        else:
            assert process.returncode == 2
            assert f"this machine cannot join: orchestrator {version} (the server has {__version__} and serves " in told
            assert told.count("error[") == 1
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)


# --- who may


def test_a_machine_joins_with_a_token_of_its_group_and_its_environment_alone_and_takes_work_at_once(server: LocalServer, tmp_path: Path) -> None:
    token, uid = minted(server, group="gpu")
    environ = {"ORCHESTRATOR_WORKER_GROUP": "gpu", "ORCHESTRATOR_WORKER_SLOTS": "3", "ORCHESTRATOR_WORKER_LABELS": "zone=eu rack=r-4"}
    with machine(server, tmp_path, "by-environment", token=token, environ=environ) as found:
        assert found.joined() < 10, "seconds after its Ray node was up"
        worker = found.worker()
        assert (worker["group"], worker["slots"], worker["token"]) == ("gpu", 3, uid)
        assert {"zone": "eu", "rack": "r-4"}.items() <= worker["labels"].items()
        done = server.execute(server.flow(FLOW.format(id="here", group="gpu", folder=tmp_path, seconds=0)), wait=True)
        assert done["taskRunList"][0]["attempts"][0]["workerId"] == worker["name"]
        found.signal()
        assert found.ended() == 0
    assert [one["useCount"] for one in server.call("GET", "/api/v1/tokens")["tokens"] if one["uid"] == uid] == [1]


def test_the_administrator_may_declare_the_group_by_joining_it(server: LocalServer, tmp_path: Path) -> None:
    with machine(server, tmp_path, "creating", "--worker-group=made-by-joining", "--create", token=ADMIN):
        assert server.call("GET", "/api/v1/worker-groups/made-by-joining")["declared"] is True
    server.call("DELETE", "/api/v1/worker-groups/made-by-joining?force=true")


# --- the cluster goes


@pytest.mark.long
def test_a_machine_is_back_by_itself_when_the_server_comes_back_with_another_cluster(tmp_path: Path) -> None:
    server = LocalServer(tmp_path, token=ADMIN)
    try:
        server.start()
        token, _ = minted(server, group="gpu")
        with machine(server, tmp_path, "patient", "--worker-group=gpu", token=token) as found:
            flow = server.flow(FLOW.format(id="after", group="gpu", folder=tmp_path, seconds=0))
            before = server.mark()
            assert server.launcher is not None
            assert before is not None
            server.launcher.kill()
            server.launcher.wait(5)
            server.kill_raylet()
            server.start(ready=False)
            eventually(lambda: not ray_processes.marked(before), within=30, what="what the dead server had left was ended")
            eventually(server.healthy, within=90, what="the server is ready again")
            ready = time.monotonic()
            found.joined(times=2, within=40)
            back = time.monotonic() - ready
            assert back < 30, back
            assert "The server has another cluster now: joining that one" in found.said()
            assert server.execute(flow, wait=True)["state"]["current"] == "SUCCESS"
            print(f"back {back:.1f} s after the server was ready")
    finally:
        server.end()


@pytest.mark.long
def test_a_new_token_of_the_cluster_shuts_out_who_may_not_join_any_more_and_work_goes_on(tmp_path: Path) -> None:
    server = LocalServer(tmp_path, token=ADMIN)
    try:
        server.start()
        kept, _ = minted(server, group="gpu", name="kept")
        shut_out, uid = minted(server, group="gpu", name="shut-out")
        with (
            machine(server, tmp_path, "kept", "--worker-group=gpu", token=kept) as stays,
            machine(server, tmp_path, "shut-out", "--worker-group=gpu", token=shut_out) as goes,
        ):
            before = (server.data / "ray_token").read_text()
            flow = server.flow(FLOW.format(id="over", group="gpu", folder=tmp_path, seconds=4))
            running = [server.execute(flow)["id"] for _ in range(2)]
            eventually((tmp_path / "over").exists, within=20, what="they are at work")
            assert typed(server, "token", "revoke", uid[:6]).returncode == 0
            said = typed(server, "cluster", "rotate-token")
            assert said.returncode == 0, said.stderr
            assert (server.data / "ray_token").read_text() != before
            assert goes.ended(60) == 2
            assert re.findall(r"^error\[.*$", goes.said(), re.M) == [line for line in goes.said().splitlines() if "has been revoked" in line]
            stays.joined(times=2, within=60)
            assert server.launcher is not None
            assert server.launcher.poll() is None
            for execution in running:
                assert server.ended(execution, within=60)["state"]["current"] == "SUCCESS", server.logs(execution)
            assert not (server.data / "rotate-token").exists()
    finally:
        server.end()


def test_a_machine_whose_own_node_dies_joins_again(server: LocalServer, tmp_path: Path) -> None:
    with machine(server, tmp_path, "stumbling", "--worker-group=gpu", token=ADMIN) as found:
        raylet = ray_processes.named(ray_processes.marked(found.mark()), "raylet")
        assert raylet is not None
        raylet.kill()
        found.joined(times=2)
        assert "The cluster went away: waiting for it to come back" in found.said()


@pytest.mark.long
def test_a_machine_that_was_killed_is_shown_as_lost(server: LocalServer, tmp_path: Path) -> None:
    found = Machine(server, tmp_path, "killed", "--worker-group=cpu", token=ADMIN)
    try:
        found.joined()
        name = found.worker()["name"]
        of_node = ray_processes.marked(found.mark())
        found.process.kill()
        for process in of_node:
            process.kill()
        eventually(lambda: server.call("GET", f"/api/v1/workers/{name}")["state"] == "lost", within=40, what="it is seen to be lost")
        assert "lost" in typed(server, "worker", "ls").stdout
    finally:
        found.end()


def test_a_node_that_came_past_the_door_with_another_version_is_told_once_and_gets_no_work(server: LocalServer, tmp_path: Path) -> None:
    (tmp_path / "orchestrator-9.0.0.dist-info").mkdir()
    (tmp_path / "orchestrator-9.0.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: orchestrator\nVersion: 9.0.0\n")
    told = server.call("POST", "/api/v1/cluster/join", {"group": "cpu", "slots": 1, "versions": own_versions().model_dump()})
    node = ray_processes.Node(mark=ray_processes.new_mark(), address=told["address"], token_file=str(tmp_path / "token"), temp_dir="")
    ray_processes.write_token(tmp_path / "token", told["ray_token"])
    try:
        place = {"resources": {"worker_group:cpu": 1.0}, "labels": {"worker-group": "cpu"}, "extra": {}}
        ray_processes.start_worker(node, {**clean(), "PYTHONPATH": str(tmp_path)}, **place)  # type: ignore[arg-type]
        eventually(lambda: _engine_log(server).count("node-not-served") == 1, within=60, what="it is told")
        assert "version=9.0.0" in _engine_log(server)
        assert [worker["state"] for worker in server.call("GET", "/api/v1/workers")["workers"] if worker["group"] == "cpu" and worker["state"] == "up"] == []
    finally:
        ray_processes.end(node.mark)
    assert _engine_log(server).count("node-not-served") == 1


def _engine_log(server: LocalServer) -> str:
    """What the server's processes under Ray have written."""
    folder = Path(json.loads((server.data / "cluster.json").read_text())["temp_dir"]) / "session_latest" / "logs"
    return "".join(path.read_text(errors="replace") for path in folder.glob("worker-*.err"))
