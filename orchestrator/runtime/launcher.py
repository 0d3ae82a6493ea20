"""`server local`: Ray on this machine, executor, API and one default worker, on one data folder. The foreground watches; the work does not hang on it."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, Unavailable
from orchestrator.model.worker import DEFAULT_GROUP, resource_of
from orchestrator.runtime import ray_processes
from orchestrator.runtime.ray_processes import Node
from orchestrator.settings import Settings
from orchestrator.store.opening import open_store

Say = Callable[[str], None]
READY_LIMIT = 60.0  # seconds from Ray's start until flows can be run
WATCH_EVERY = 0.5


class Launcher:
    """Owns the data folder while it runs. What it started is recorded there, so that the next launcher adopts or ends it."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings, self._say = settings, say
        self._data = settings.data_dir
        self._record = self._data / "cluster.json"
        self._stopping = threading.Event()
        self._node: Node | None = None

    def run(self) -> None:
        """Serve until told to stop (SIGTERM, SIGINT). Raises BadSettings, StoreUnavailable or Unavailable when it cannot start."""
        lock = self._lock()
        try:
            open_store(self._settings.database_url, migrate=True).close()
            signal.signal(signal.SIGTERM, self._told_to_stop)
            signal.signal(signal.SIGINT, self._told_to_stop)
            while not self._stopping.is_set():
                self._up()
                self._watch()
        finally:
            self._down()
            lock.close()

    def _told_to_stop(self, number: int, frame: object) -> None:
        self._stopping.set()

    def _lock(self) -> IO[str]:
        try:
            self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = open(self._data / "launcher.lock", "a+")  # noqa: SIM115 - held for life
        except OSError as err:
            raise BadSettings(f"the data folder {self._data} cannot be used: {err.strerror}") from err
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            raise BadSettings(f"a server already runs on {self._data}; stop it, or name another folder with --data") from err
        return lock

    # --- up

    def _up(self) -> None:
        configuration.save(self._settings, self._settings_path)
        self._node = self._adopted() or self._started()
        ray_processes.boot("up", self._node, configuration.environ(), str(self._settings_path), self._node.token_file, self._node.dashboard)
        self._await_ready()

    @property
    def _settings_path(self) -> Path:
        return self._data / "settings.json"

    def _recorded(self) -> Node | None:
        try:
            return Node.model_validate_json(self._record.read_text())
        except (OSError, ValueError):
            return None

    def _adopted(self) -> Node | None:
        """The cluster of an earlier launcher, when all of it still lives; otherwise what is left of it is ended."""
        node = self._recorded()
        if node is None:
            self._refuse_taken_port()
            return None
        alive = ray_processes.marked(node.mark)
        if ray_processes.named(alive, "gcs_server") and ray_processes.named(alive, "raylet"):
            self._say(f"Going on with the Ray cluster at {node.address}")
            return node
        if alive:
            self._say("Ending what an earlier server left behind")
        ray_processes.end(node.mark)
        self._record.unlink(missing_ok=True)
        self._refuse_taken_port()
        return None

    def _refuse_taken_port(self) -> None:
        with socket.socket(socket.AF_INET6 if ":" in self._settings.host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self._settings.host, self._settings.port))
            except OSError as err:
                raise BadSettings(f"port {self._settings.port} of {self._settings.host} cannot be used ({err.strerror}); choose another with --port") from err

    def _started(self) -> Node:
        self._say("Starting Ray (5 to 15 s)")
        temp = tempfile.mkdtemp(prefix="orch-")  # short: Ray's sockets lie below it, and their paths may have 107 bytes
        node = Node(mark=ray_processes.new_mark(), token_file=str(self._data / "ray_token"), temp_dir=temp)
        ray_processes.write_token(Path(node.token_file))
        self._keep(node)  # before the start: a launcher that dies meanwhile leaves nothing unknown
        slots = self._settings.slots or 8 * (os.cpu_count() or 1)
        node = ray_processes.start_head(
            node,
            configuration.environ(),
            resources={resource_of(DEFAULT_GROUP): slots},
            labels={"worker-group": "default"},
            dashboard=self._settings.dashboard,
        )
        self._keep(node)
        return node

    def _keep(self, node: Node) -> None:
        aside = self._record.with_suffix(".new")
        aside.write_text(node.model_dump_json())
        aside.replace(self._record)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_LIMIT
        reason = ""
        while time.monotonic() < deadline and not self._stopping.is_set():
            ready, reason = healthy(self._settings)
            if ready:
                self._say(f"Ready at {self._settings.url}")
                if self._node is not None and self._node.dashboard:
                    self._say(f"Ray dashboard at http://{self._node.dashboard} (token in {self._node.token_file})")
                self._say("Next: orchestrator run flow.yaml" + (f" --server {self._settings.url}" if self._settings.port != 8080 else ""))
                return
            self._stopping.wait(0.1)
        if not self._stopping.is_set():
            raise Unavailable(
                f"the server did not become ready within {READY_LIMIT:.0f} s: {reason}; logs are in {self._node.temp_dir if self._node else ''}/session_latest/logs"
            )

    # --- watching

    def _watch(self) -> None:
        """Return when told to stop, or when Ray itself has died (the actors come back by themselves)."""
        assert self._node is not None
        alive = ray_processes.marked(self._node.mark)
        vital = [p for p in (ray_processes.named(alive, "gcs_server"), ray_processes.named(alive, "raylet")) if p is not None]
        while not self._stopping.wait(WATCH_EVERY):
            if len(vital) < 2 or not all(p.is_running() and p.status() != "zombie" for p in vital):
                self._say("Ray has died: starting it again")
                return

    def _down(self) -> None:
        node = self._node
        if node is None:
            return
        self._say("Stopping")
        ray_processes.end(node.mark, within=8.0)
        self._record.unlink(missing_ok=True)
        shutil.rmtree(node.temp_dir, ignore_errors=True)


def healthy(settings: Settings) -> tuple[bool, str]:
    """Whether flows can be run at the settings' address, else why not."""
    try:
        with urllib.request.urlopen(settings.url + "/health", timeout=2) as answer:  # noqa: S310 - our own address
            return answer.status == 200, ""
    except urllib.error.HTTPError as err:
        return False, err.read().decode("utf-8", "replace")[:300]
    except OSError as err:
        return False, str(err)


def ensure_local_server(say: Say) -> str:
    """A server in the background for this folder's `.orchestrator`, as `server local` would start it; its URL once ready.

    Raises Unavailable with the last words of its log.
    """
    settings = configuration.load()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = settings.data_dir / "server.log"
    with log.open("ab") as out:
        command = [
            sys.executable,
            "-m",
            "orchestrator.cli.main",
            "server",
            "local",
            "--host",
            settings.host,
            "--port",
            str(settings.port),
            "--data",
            str(settings.data_dir),
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)  # noqa: S603
    deadline = time.monotonic() + READY_LIMIT + 30
    while time.monotonic() < deadline:
        if healthy(settings)[0]:
            say(f"server ready at {settings.url} (its log: {log}; stop it with: orchestrator server stop)")
            return settings.url
        if process.poll() is not None:
            break
        time.sleep(0.1)
    words = log.read_text(errors="replace").strip().splitlines()[-3:]
    raise Unavailable("the local server did not start: " + " | ".join(words))


def stop_local_server(data: Path) -> bool:
    """Ask the launcher of a data folder to stop, and wait for it; whether there was one."""
    path = data / "launcher.lock"
    if not path.exists():
        return False
    with path.open("r+") as lock:
        for pid in _holders(path):
            os.kill(pid, signal.SIGTERM)
        before = time.monotonic()
        while time.monotonic() - before < 20:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                time.sleep(0.1)
    return False


def _holders(path: Path) -> list[int]:
    """The processes that hold a lock on a file, as the kernel lists them."""
    inode = path.stat().st_ino
    found = []
    for line in Path("/proc/locks").read_text().splitlines():
        parts = line.split()
        if len(parts) > 5 and parts[1] == "FLOCK" and parts[5].split(":")[-1] == str(inode):
            found.append(int(parts[4]))
    return found
