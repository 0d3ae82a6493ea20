"""A Ray cluster whose autoscaler starts and ends nodes on this machine, with `server standalone` on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import ray.util

from orchestrator.runtime import clean_process, ray_processes
from orchestrator.runtime.ray_processes import Node
from tests.integration.local_server import ENDED, eventually

ORCHESTRATOR = [str(Path(sys.executable).with_name("orchestrator"))]
HEAD_ID, HEAD = "f" * 51 + "00000", "ray.head.default"  # what the provider takes its head for
PROVIDER = """
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider

class Provider(FakeMultiNodeProvider):
    def create_node_with_resources_and_labels(self, node_config, tags, count, resources, labels):
        if "refuse" in node_config:
            raise RuntimeError(node_config["refuse"])
        return super().create_node_with_resources_and_labels(node_config, tags, count, resources, labels)
"""
LOCAL: tuple[str, ...] = ("cluster_synced_files", "head_setup_commands", "head_start_ray_commands", "initialization_commands", "rsync_exclude", "rsync_filter")
LOCAL += ("setup_commands", "worker_setup_commands", "worker_start_ray_commands")

PENDING = """
import json, sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
table = ray.util.placement_group_table()
print(json.dumps({group["placement_group_id"]: group["name"] for group in table.values() if group["state"] == "PENDING"}))
"""


class AutoscaledCluster:
    """`kinds`: the provider's node types, as a cluster's YAML names them; one whose `node_config` says `refuse` cannot be had, for that reason."""

    def __init__(self, folder: Path, kinds: Mapping[str, Mapping[str, Any]], *, idle_minutes: float = 0.1) -> None:
        self.folder, self.kinds, self.idle_minutes = folder, kinds, idle_minutes
        self.mark = ray_processes.new_mark()
        token_file = folder / "token"
        ray_processes.write_token(token_file)
        self.temp = tempfile.mkdtemp(prefix="orch-auto-")
        self.node = Node(mark=self.mark, token_file=str(token_file), temp_dir=self.temp)
        self.port = ray_processes.free_ports(1)[0]
        self.server: subprocess.Popen[bytes] | None = None

    # --- Ray

    def start(self) -> None:
        gcs, client, board, agent = ray_processes.free_ports(4)
        address = f"{ray.util.get_node_ip_address()}:{gcs}"  # type: ignore[no-untyped-call]
        config = self.folder / "autoscaling.json"
        config.write_text(json.dumps(self._config(address)))
        modules = self.folder / "modules"
        modules.mkdir()
        (modules / "own_provider.py").write_text(PROVIDER)
        command = clean_process.command("ray.scripts.scripts", "start", "--head", f"--port={gcs}", f"--temp-dir={self.temp}", "--num-cpus=1")
        command += [f"--autoscaling-config={config}", "--disable-usage-stats", "--min-worker-port=0", "--max-worker-port=0", "--include-dashboard=false"]
        command += [f"--ray-client-server-port={client}", f"--dashboard-port={board}", f"--dashboard-agent-listen-port={agent}"]
        own = {"RAY_enable_autoscaler_v2": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1", "PYTHONPATH": str(modules)}
        own |= {"RAY_CLOUD_INSTANCE_ID": HEAD_ID, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID}
        environ = ray_processes.surroundings(self.node, clean_environ(), own)
        with (self.folder / "ray.log").open("wb") as log:
            done = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, timeout=90, check=False)
        assert done.returncode == 0, (self.folder / "ray.log").read_text()
        self.node = self.node.model_copy(update={"address": address})

    def _config(self, address: str) -> dict[str, Any]:
        # Not by the name of the one it derives from: the defaults that Ray would look up for that are not in its wheel.
        provider = {"type": "external", "module": "own_provider.Provider", "gcs_address": address, "head_node_id": HEAD_ID, "launch_multiple": True}
        provider |= {"disable_node_updaters": True, "disable_launch_config_check": True}
        head = {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0}
        return {
            "cluster_name": "autoscaled",
            "max_workers": 8,
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": self.idle_minutes,
            "provider": provider,
            "head_node_type": HEAD,
            "available_node_types": {HEAD: head, **{name: {"node_config": {}, "min_workers": 0, **kind} for name, kind in self.kinds.items()}},
            "auth": {},
            "docker": {},
            "file_mounts": {},
            "file_mounts_sync_continuously": False,
            **{name: [] for name in LOCAL},
        }

    def raylets(self) -> int:
        """How many nodes are there: the head, and what the autoscaler started."""
        return sum(1 for process in ray_processes.marked(self.mark) if _program(process) == "raylet")

    def demands(self) -> dict[str, str]:
        """What is asked of the autoscaler: the name of each pending placement group by its id."""
        command = [sys.executable, "-c", PENDING, self.node.address]
        done = subprocess.run(command, env=self._driver_environ(), capture_output=True, text=True, timeout=60, check=True)
        found: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
        return found

    def _driver_environ(self) -> dict[str, str]:
        return {**clean_environ(), "RAY_ADDRESS": self.node.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": self.node.token_file}

    def actors(self, kind: str) -> list[psutil.Process]:
        return [process for process in ray_processes.marked(self.mark) if _title(process).startswith(f"ray::{kind}")]

    def end(self) -> None:
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(30)
        ray_processes.end(self.mark)
        shutil.rmtree(self.temp, ignore_errors=True)

    # --- the server on it

    def serve(self, settings: str) -> None:
        """`server standalone` with that configuration file."""
        config = self.folder / "orchestrator.yaml"
        config.write_text(settings)
        command = [*ORCHESTRATOR, "server", "standalone", "--data", str(self.folder / "data"), "--port", str(self.port)]
        with self._log.open("wb") as log:
            self.server = subprocess.Popen(
                command,
                env={**self._driver_environ(), "ORCHESTRATOR_CONFIG": str(config)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(lambda: "Ready at" in self._log.read_text() or self._ended(), within=90, what="the server is ready")
        assert not self._ended(), self._log.read_text()

    @property
    def _log(self) -> Path:
        return self.folder / "standalone.log"

    def _ended(self) -> bool:
        return self.server is None or self.server.poll() is not None

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": kind} if body is not None else {}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def execute(self, source: str) -> str:
        """Save a flow and start it; the execution's id."""
        flow = self.call("POST", "/api/v1/flows", source.encode(), "application/x-yaml")
        boundary = "part"
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="unused"\r\n\r\n\r\n--{boundary}--\r\n'.encode()
        started = self.call("POST", f"/api/v1/executions/{flow['namespace']}/{flow['id']}", body, f"multipart/form-data; boundary={boundary}")
        return str(started["id"])

    def state(self, execution_id: str) -> str:
        return str(self.call("GET", f"/api/v1/executions/{execution_id}")["state"]["current"])

    def kill(self, execution_id: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1/executions/{execution_id}/kill", method="DELETE")
        urllib.request.urlopen(request, timeout=60).close()

    def has_ended(self, execution_id: str) -> bool:
        return self.state(execution_id) in ENDED

    def explained(self, execution_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/api/v1/executions/{execution_id}/explain")["explanations"]
        return found

    def workers(self, group: str) -> list[dict[str, Any]]:
        told = self.call("GET", "/api/v1/workers")
        return [worker for worker in (told["workers"] if isinstance(told, dict) else told) if worker.get("group", "") == group]


class Stopwatch:
    """Prints how long each step took, and since the beginning."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def __call__(self, step: str) -> None:
        now = time.monotonic()
        print(f"{now - self._begun:7.2f} s  (+{now - self._last:5.2f} s)  {step}", flush=True)
        self._last = now


def clean_environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("ORCHESTRATOR_", "RAY_"))}


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _program(process: psutil.Process) -> str:
    try:
        return Path(process.cmdline()[0]).name
    except (psutil.Error, IndexError):
        return ""
