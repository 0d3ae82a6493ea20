"""Puts a worker or supervisor together on the node it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import settings as configuration

if TYPE_CHECKING:
    from orchestrator.runtime.services import ServicesFactory
    from orchestrator.runtime.supervisor import Supervisor
    from orchestrator.runtime.task_work import Means
    from orchestrator.runtime.worker import Worker


def worker_of(config: dict[str, Any], send: Callable[[str], None]) -> Worker:
    """The worker of the node this process is on."""
    from orchestrator.runtime.worker import Worker

    return Worker(**_common({"kind": "worker", **config}, send))


def supervisor_of(config: dict[str, Any], send: Callable[[str], None]) -> Supervisor:
    """The supervisor of the node this process is on."""
    from orchestrator.runtime.supervisor import Supervisor

    return Supervisor(**_common({"kind": "supervisor", **config}, send))


def means_of(config: dict[str, Any]) -> Means:
    """What a child process of that worker does its work with."""
    from orchestrator.runtime.built_plugins import BuiltTasks
    from orchestrator.runtime.engines import docker_answers
    from orchestrator.runtime.node import Node
    from orchestrator.runtime.task_work import Means

    node = Node(Path(config["base"]), frozenset(config["docker_allow"]), Path(config["cache"]))
    tasks = BuiltTasks()
    return Means(config["installation"], _services(config["server"]), node, tasks, config["default_runner"], docker_answers)


def _services(server: str) -> ServicesFactory:
    from orchestrator.runtime.api_client import ApiClient
    from orchestrator.runtime.services import HttpServices

    client = ApiClient(server)
    return lambda dispatch: HttpServices(client, dispatch)


def _common(config: dict[str, Any], send: Callable[[str], None]) -> dict[str, Any]:
    from orchestrator.model.place_name import PlaceName
    from orchestrator.runtime.isolation import Recipe
    from orchestrator.runtime.node import machine_folder

    place = PlaceName.parse(config["name"])
    home = machine_folder(config["installation"])
    folder, cache = configuration.worker_folder() or home / config["node_id"][:8], home / "cache"
    shared = {name: config[name] for name in ("installation", "default_runner")}
    server, base = configuration.worker_server() or config["server"], folder / config["kind"]
    given = {**shared, "server": server, "base": str(base), "cache": str(cache), "docker_allow": list(config["docker_allow"])}
    return {
        **shared,
        "name": config["name"],
        "group": config["group"],
        "slots": config["slots"],
        "docker_allow": tuple(config["docker_allow"]),
        "log_limit": config["log_limit"],
        "may_be_lost": not (place is not None and place.on_head),
        "services": _services(server),
        "base": base,
        "cache": cache,
        "send": send,
        "isolated_by": Recipe("orchestrator.runtime.worker_assembly:means_of", given),
    }
