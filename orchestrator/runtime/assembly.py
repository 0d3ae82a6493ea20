"""Puts the parts of each process together. Imported inside the actors, so that each loads only what it needs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator import settings as configuration
from orchestrator.runtime.new_ids import new_id
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.intake import Intake
    from orchestrator.runtime.reports import Reports
    from orchestrator.runtime.supervisor import Supervisor
    from orchestrator.runtime.worker import Worker

SLOTS_PER_CPU = 8


@dataclass(frozen=True)
class ExecutorParts:
    """A running executor and its two doors: requests from above, reports from below."""

    executor: Executor
    intake: Intake
    reports: Reports


async def executor_parts(settings: Settings) -> ExecutorParts:
    """An executor on Ray, started. Raises Fenced or StoreUnavailable."""
    from orchestrator.runtime.ray_cluster import RayCluster
    from orchestrator.store.opening import open_store

    store = open_store(settings.database_url, migrate=True)
    owner = new_id()
    config = {
        "installation": store.installation().id,
        "server": settings.url,
        "default_runner": settings.default_runner,
        "docker_allow": settings.docker_allow,
        "log_limit": settings.log_limit,
    }
    head_slots = (settings.slots or SLOTS_PER_CPU * (os.cpu_count() or 1)) if settings.ray_address else 0
    cluster = RayCluster(owner=owner, worker_config=config, head_slots=head_slots)
    return await started(settings, store, cluster, owner)


async def started(settings: Settings, store: Any, cluster: Any, owner: str) -> ExecutorParts:
    """An executor over any store and cluster, started."""
    from orchestrator.lang.expressions import Renderer
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.head_services import HeadServices
    from orchestrator.runtime.intake import Intake
    from orchestrator.runtime.reports import Reports
    from orchestrator.store.blobs import Blobs

    services = HeadServices(store, Blobs(settings.data_dir / "storage"), settings)
    executor = Executor(store=store, cluster=cluster, settings=settings, new_id=new_id, head_renderer=Renderer(services))
    await executor.start(owner)
    return ExecutorParts(executor, Intake(executor), Reports(executor))


def worker_of(config: dict[str, Any], send: Callable[[str], None]) -> Worker:
    """The worker of the node this process is on."""
    from orchestrator.runtime.worker import Worker

    return Worker(**_common({**config, "kind": "worker"}, send))


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
