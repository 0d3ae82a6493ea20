"""`server local`: Ray on this machine, executor, API and one default worker, on one data folder. The foreground watches; the work does not hang on it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrator import settings as configuration
from orchestrator.errors import BadSettings, OrchestratorError, Unavailable
from orchestrator.model.worker import DEFAULT_GROUP, resource_of
from orchestrator.runtime import ray_processes
from orchestrator.runtime.data_folder import LOCK, claim, rotated, rotation_asked
from orchestrator.runtime.ports import is_free
from orchestrator.runtime.ray_processes import GivenUp, Node
from orchestrator.settings import Settings
from orchestrator.store.blobs import open_blobs
from orchestrator.store.opening import open_store

Say = Callable[[str], None]
RECORD = "cluster.json"  # in the data folder: its Ray node
TOKEN = "ray_token"  # noqa: S105 - in the data folder: the cluster's own token
READY_LIMIT = 60.0  # seconds from Ray's start until flows can be run
WATCH_EVERY = 0.5


class Launcher:
    """Owns the data folder while it runs. What it started is recorded there, so that the next launcher adopts or ends it."""

    def __init__(self, settings: Settings, say: Say) -> None:
        self._settings, self._say = configuration.rooted(settings), say
        self._data = settings.data_dir
        self._record = self._data / RECORD
        self._stopping = threading.Event()
        self._node: Node | None = None

    def run(self) -> None:
        """Serve until told to stop (SIGTERM, SIGINT). Raises BadSettings, StoreUnavailable or Unavailable when it cannot start."""
        signal.signal(signal.SIGTERM, self._told_to_stop)
        signal.signal(signal.SIGINT, self._told_to_stop)
        is_new = not self._data.exists()
        if is_new:
            self._refuse_taken_port()  # before anything is made
        lock = claim(self._data)
        try:
            self._check_store(is_new)
            while not self._stopping.is_set():
                self._up()
                self._watch()
        except GivenUp:
            return
        finally:
            self._down()
            lock.close()

    def _told_to_stop(self, number: int, frame: object) -> None:
        self._stopping.set()

    def _check_store(self, is_new: bool) -> None:
        try:
            if self._recorded() is None:
                self._refuse_taken_port()
            open_store(self._settings.database_url, migrate=True).close()
            open_blobs(self._data, self._settings.storage, self._settings.storage_options, check=True)
        except OrchestratorError:
            if is_new:  # as it was before
                (self._data / LOCK).unlink(missing_ok=True)
                with suppress(OSError):
                    self._data.rmdir()
            raise

    # --- up

    def _up(self) -> None:
        if rotation_asked(self._data):
            self._drop_token()
        node = self._adopted()
        configuration.save(self._settings, self._settings_path)
        node = self._node = node or self._started()
        arguments = (str(self._settings_path), node.token_file, node.dashboard)
        ray_processes.boot("up", node, configuration.environ(), *arguments, given_up=self._stopping.is_set)
        self._await_ready()

    def _drop_token(self) -> None:
        """End the cluster and its token: the next one gets a new token, which only those who join again are told."""
        node = self._node or self._recorded()
        if node is not None:
            forget(node, self._record)
        (self._data / TOKEN).unlink(missing_ok=True)
        rotated(self._data)

    @property
    def _settings_path(self) -> Path:
        return self._data / "settings.json"

    def _recorded(self) -> Node | None:
        try:
            return Node.model_validate_json(self._record.read_text())
        except (OSError, ValueError):
            return None

    def _adopted(self) -> Node | None:
        """The cluster of an earlier launcher, when all of it still lives under the same settings; otherwise what is left of it is ended."""
        node = self._recorded()
        if node is None:
            self._refuse_taken_port()
            return None
        alive = ray_processes.marked(node.mark)
        if self._is_unchanged() and ray_processes.named(alive, "gcs_server") and ray_processes.named(alive, "raylet"):
            self._say(f"Going on with the Ray cluster at {node.address}")
            return node
        if alive:
            self._say("Ending what an earlier server left behind")
        forget(node, self._record)
        self._refuse_taken_port()
        return None

    def _is_unchanged(self) -> bool:
        """Whether the actors that run now were started with the settings in force: they read them once."""
        try:
            return configuration.saved(self._settings_path) == self._settings
        except (OSError, ValueError):
            return False

    def _refuse_taken_port(self) -> None:
        if not is_free(self._settings.host, self._settings.port):
            raise BadSettings(f"port {self._settings.port} of {self._settings.host} cannot be used; choose another with --port")

    def _started(self) -> Node:
        self._say("Starting Ray (5 to 15 s)")
        temp = tempfile.mkdtemp(prefix="orch-")  # short: Ray's sockets lie below it, and their paths may have 107 bytes
        node = self._node = Node(mark=ray_processes.new_mark(), token_file=str(self._data / TOKEN), temp_dir=temp)
        ray_processes.write_token(Path(node.token_file))
        self._keep(node)  # before the start: a launcher that dies meanwhile leaves nothing unknown
        slots = self._settings.slots or 8 * (os.cpu_count() or 1)
        node = ray_processes.start_head(
            node,
            configuration.environ(),
            resources={resource_of(DEFAULT_GROUP): slots},
            labels={"worker-group": "default"},
            dashboard=self._settings.dashboard,
            given_up=self._stopping.is_set,
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
            logs = f"{self._node.temp_dir if self._node else ''}/session_latest/logs"
            raise Unavailable(f"the server did not become ready within {READY_LIMIT:.0f} s: {reason}; logs are in {logs}")

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
            if rotation_asked(self._data):
                self._say("Rotating the cluster's token: starting Ray again with a new one")
                return

    def _down(self) -> None:
        node = self._node
        if node is None:
            return
        self._say("Stopping")
        forget(node, self._record, within=8.0)


def forget(node: Node, record: Path, within: float = 10.0) -> None:
    """End all processes of a recorded node, and then its record."""
    ray_processes.end(node.mark, within=within)
    record.unlink(missing_ok=True)
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
