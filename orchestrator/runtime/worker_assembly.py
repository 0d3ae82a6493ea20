"""Puts a worker or supervisor together on the node it is for."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import settings as configuration

if TYPE_CHECKING:
    from orchestrator.runtime.supervisor import Supervisor
    from orchestrator.runtime.worker import Worker


def worker_of(config: dict[str, Any], send: Callable[[str], None]) -> Worker:
    """The worker of the node this process is on."""
    from orchestrator.runtime.worker import Worker

    return Worker(**_common({"kind": "worker", **config}, send))


def supervisor_of(config: dict[str, Any], send: Callable[[str], None]) -> Supervisor:
    """The supervisor of the node this process is on."""
    from orchestrator.runtime.supervisor import Supervisor

    return Supervisor(**_common({**config, "kind": "supervisor"}, send))


def _common(config: dict[str, Any], send: Callable[[str], None]) -> dict[str, Any]:
    from orchestrator.runtime.api_client import ApiClient
    from orchestrator.runtime.services import HttpServices

    client = ApiClient(configuration.worker_server() or config["server"])
    folder = configuration.worker_folder() or Path(tempfile.gettempdir()) / f"orchestrator-{config['installation']}" / config["node_id"][:8]
    return {
        "name": config["name"],
        "group": config["group"],
        "slots": config["slots"],
        "installation": config["installation"],
        "default_runner": config["default_runner"],
        "docker_allow": tuple(config["docker_allow"]),
        "log_limit": config["log_limit"],
        "services": lambda dispatch: HttpServices(client, dispatch),
        "base": folder / config["kind"],
        "send": send,
    }
