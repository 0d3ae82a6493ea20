"""The files of `cluster/` as tests read them, and what they must agree with."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from orchestrator import settings
from orchestrator.model.worker import resource_of
from orchestrator.model.worker_group import WorkerGroup
from orchestrator.runtime import ray_processes
from orchestrator.runtime.ray_processes import Node

ROOT = Path(__file__).resolve().parents[3]
CLUSTER = ROOT / "cluster"
GRACE = 300  # seconds for which a worker that is told to stop lets its work go on


def document(path: str) -> Any:
    return yaml.safe_load((CLUSTER / path).read_text())


def documents(path: str) -> list[Any]:
    return list(yaml.safe_load_all((CLUSTER / path).read_text()))


def environment(text: str) -> dict[str, str]:
    """The variables of an environment file."""
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def groups(file: Path) -> dict[str, WorkerGroup]:
    """The worker groups of a server's configuration file, as the server reads it."""
    found = settings.load(environ={"ORCHESTRATOR_API_TOKEN": "t"}, file=file)
    return {group.key: group for group in found.worker_groups}


def ray_settings() -> dict[str, str]:
    """What Ray's processes are started with when we start them ourselves, but for what belongs to one node."""
    node = Node(mark="m", token_file="t", temp_dir="")
    return {name: value for name, value in ray_processes.surroundings(node, {}).items() if name not in ("PATH", ray_processes.MARK)}


def assert_node_types_match(types: Mapping[str, Mapping[str, Any]], declared: Mapping[str, WorkerGroup]) -> None:
    """Each declared group has one node type, which offers its resource with its slots, as often as it may grow."""
    by_resource = {name: kind for kind in types.values() for name in kind["resources"] if name.startswith("worker_group:")}
    assert set(by_resource) == {resource_of(key) for key in declared}
    for key, group in declared.items():
        kind, of_head = by_resource[resource_of(key)], 1 if key == "" else 0  # the head has a worker of the default group
        assert kind["resources"][resource_of(key)] == group.slots, key
        assert (kind["min_workers"], kind["max_workers"] + of_head) == (group.min, group.max), key
        assert kind["labels"] == {"worker-group": key or "default", **group.labels}, key


def assert_shell(command: str) -> None:
    """A shell takes it for a command."""
    done = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
