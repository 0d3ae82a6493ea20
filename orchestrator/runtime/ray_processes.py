"""Starts and ends the processes of Ray nodes, and finds every one of them again by a mark in its environment."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from orchestrator.errors import Unavailable
from orchestrator.model.values import Frozen
from orchestrator.runtime import clean_process

MARK = "ORCHESTRATOR_CLUSTER"
START_LIMIT = 90.0  # seconds for `ray start`
_PORTS, _TRIES = (20000, 32000), 200
# What no process of Ray, and so no worker, may inherit from the one who started it.
_PRIVATE = ("SECRET_", "ORCHESTRATOR_API_TOKEN", "ORCHESTRATOR_ENCRYPTION_SECRET_KEY", "ORCHESTRATOR_DATABASE", "RAY_JOB", "RAY_ADDRESS", "KESTRA_", "ENV_")

_MACHINE = {"CPU": "--num-cpus", "GPU": "--num-gpus", "memory": "--memory"}  # resources that Ray takes by options of their own


class GivenUp(Unavailable):
    """Told to stop while a node was being started."""


def _never() -> bool:
    return False


class Node(Frozen):
    """A Ray node of ours: what is needed to use it and to end it."""

    mark: str
    address: str = ""  # host:port of the cluster's GCS
    token_file: str
    temp_dir: str
    dashboard: str = ""  # host:port


def new_mark() -> str:
    """A fresh name for the processes of one node."""
    return secrets.token_hex(8)


def free_ports(count: int) -> list[int]:
    """That many ports nobody listens on now.

    Not of those that systems give to whoever asks for any (Linux: from 32768 on), nor of Ray's workers' (up to 19999): one
    that is free now is not taken by chance before the one it is meant for listens there.
    """
    with ExitStack() as held:
        return [_free_port(held) for _ in range(count)]


def _free_port(held: ExitStack) -> int:
    """One of them, held until `held` ends."""
    for tries in range(_TRIES + 1):
        one = held.enter_context(socket.socket())
        with suppress(OSError):
            one.bind(("", _PORTS[0] + secrets.randbelow(_PORTS[1] - _PORTS[0]) if tries < _TRIES else 0))
            return int(one.getsockname()[1])
    raise Unavailable("no port is free on this machine")


def write_token(path: Path, token: str | None = None) -> str:
    """Keep the cluster's token (a fresh one unless given), readable by this user only; returns it."""
    if token is None and path.exists():
        return path.read_text().strip()
    token = token or secrets.token_hex(32)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(token)
    return token


def surroundings(node: Node, environ: Mapping[str, str], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a node's processes: nothing private of ours, the mark, and Ray's settings."""
    kept = {key: value for key, value in environ.items() if not key.startswith(_PRIVATE)}
    return {
        **kept,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": node.token_file,
        "RAY_worker_niceness": "0",
        "RAY_memory_monitor_refresh_ms": "0",
        "RAY_raylet_death_check_interval_milliseconds": "200",  # a worker whose node has died should not say for seconds that it lives
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker holds no GPU of Ray's, and its tasks use those of its machine
        "RAY_DEDUP_LOGS": "0",
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": os.path.dirname(sys.executable) + os.pathsep + environ.get("PATH", os.defpath),
        MARK: node.mark,
        **(extra or {}),
    }


def start_head(
    node: Node,
    environ: Mapping[str, str],
    *,
    resources: Mapping[str, float],
    labels: Mapping[str, str],
    dashboard: bool,
    given_up: Callable[[], bool] = _never,
) -> Node:
    """Start a cluster's first node; returns it with its addresses. Raises Unavailable with what Ray said, GivenUp when `given_up` says so meanwhile."""
    gcs, client, board = free_ports(3)
    arguments = [
        "--head",
        f"--port={gcs}",
        f"--ray-client-server-port={client}",
        f"--temp-dir={node.temp_dir}",
        f"--include-dashboard={str(dashboard).lower()}",
    ]
    arguments += [f"--dashboard-port={board}", "--dashboard-host=127.0.0.1"]
    _ray_start(arguments, surroundings(node, environ), resources, labels, given_up)
    host = _node_address(node) or "127.0.0.1"
    return node.model_copy(update={"address": f"{host}:{gcs}", "dashboard": f"127.0.0.1:{board}" if dashboard else ""})


def start_worker(
    node: Node,
    environ: Mapping[str, str],
    *,
    resources: Mapping[str, float],
    labels: Mapping[str, str],
    extra: Mapping[str, str],
    given_up: Callable[[], bool] = _never,
) -> None:
    """Join this machine to the cluster at `node.address`. Raises as `start_head`."""
    _ray_start([f"--address={node.address}"], surroundings(node, environ, extra), resources, labels, given_up)


def _ray_start(
    arguments: Sequence[str], environ: Mapping[str, str], resources: Mapping[str, float], labels: Mapping[str, str], given_up: Callable[[], bool]
) -> None:
    command = clean_process.command("ray.scripts.scripts", "start", *arguments, "--disable-usage-stats", "--min-worker-port=0", "--max-worker-port=0")
    command += [f"--dashboard-agent-listen-port={free_ports(1)[0]}"]  # its own default is one for the whole machine: a second node there takes no jobs
    own = {name: value for name, value in resources.items() if name not in _MACHINE}
    command += [f"{_MACHINE[name]}={int(value)}" for name, value in resources.items() if name in _MACHINE]
    command += [f"--resources={json.dumps(own)}", "--labels=" + ",".join(f"{key}={value}" for key, value in labels.items())]
    code, said = _finished(command, environ, given_up, late=f"Ray did not start within {START_LIMIT:.0f} s")
    if code != 0:
        raise Unavailable("Ray did not start: " + " | ".join([line for line in said.splitlines() if line.strip()][-5:]))


def boot(verb: str, node: Node, environ: Mapping[str, str], *arguments: str, given_up: Callable[[], bool] = _never) -> None:
    """Have another process be the driver that makes (`up`) or ends (`down`) our actors. Raises Unavailable with what it said, or GivenUp."""
    command = clean_process.command("orchestrator.runtime.ray_boot", verb, node.address, *arguments)
    late = f"the Ray cluster at {node.address} did not take our actors within {START_LIMIT:.0f} s"
    code, said = _finished(command, surroundings(node, environ), given_up, late=late)
    if code != 0:
        raise Unavailable(" | ".join(said.strip().splitlines()[-3:]))


def _finished(command: Sequence[str], environ: Mapping[str, str], given_up: Callable[[], bool], *, late: str) -> tuple[int, str]:
    """The exit code of a program and what it said. Raises GivenUp, or Unavailable with `late`; then the program is ended, not what it started.

    It gets a session of its own, so that a Ctrl-C meant for us does not reach what it leaves running, and a file to
    write to: what it leaves running would hold a pipe open.
    """
    deadline = time.monotonic() + START_LIMIT
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=clean_process.folder(), start_new_session=True
        )
        try:
            while process.poll() is None:
                if given_up():
                    raise GivenUp("told to stop")
                if time.monotonic() > deadline:
                    raise Unavailable(late)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said.seek(0)
        return process.returncode, said.read().decode("utf-8", "replace")


def _node_address(node: Node) -> str | None:
    for process in marked(node.mark):
        try:
            command = process.cmdline()
        except psutil.Error:
            continue
        for part in command:
            if part.startswith("--node_ip_address="):
                return part.split("=", 1)[1]
    return None


def marked(mark: str) -> list[psutil.Process]:
    """Every living process of this user with that mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def named(processes: Iterable[psutil.Process], word: str) -> psutil.Process | None:
    """The process whose program has that name (`raylet`, `gcs_server`)."""
    for process in processes:
        try:
            if Path(process.cmdline()[0]).name == word:
                return process
        except (psutil.Error, IndexError):
            continue
    return None


def end(mark: str, *, within: float = 10.0) -> None:
    """End every process with that mark: asked first, forced at half the time. None is left afterwards."""
    deadline, asked = time.monotonic() + within, False
    while processes := [p for p in marked(mark) if p.pid != os.getpid()]:
        forced = time.monotonic() > deadline - within / 2
        for process in processes:
            try:
                if forced:
                    process.send_signal(signal.SIGKILL)
                elif not asked:
                    process.send_signal(signal.SIGTERM)
            except psutil.Error:
                continue
        asked = True
        psutil.wait_procs(processes, timeout=0.3)
