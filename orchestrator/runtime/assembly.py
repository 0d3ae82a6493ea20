"""Puts the parts of each process together. Imported inside the actors, so that each loads only what it needs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.runtime.new_ids import new_id
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.intake import Intake
    from orchestrator.runtime.reports import Reports

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
    cluster = RayCluster(owner=owner, worker_config=config, head_slots=head_slots, owns_head=not settings.ray_address)
    return await started(settings, store, cluster, owner)


async def started(settings: Settings, store: Any, cluster: Any, owner: str) -> ExecutorParts:
    """An executor over any store and cluster, started."""
    from orchestrator.lang.expressions import Renderer
    from orchestrator.runtime.executor import Executor
    from orchestrator.runtime.head_services import HeadServices
    from orchestrator.runtime.intake import Intake
    from orchestrator.runtime.reports import Reports
    from orchestrator.store.blobs import open_blobs

    services = HeadServices(store, open_blobs(settings.data_dir, settings.storage, settings.storage_options), settings)
    executor = Executor(store=store, cluster=cluster, settings=settings, new_id=new_id, head_renderer=Renderer(services))
    await executor.start(owner)
    return ExecutorParts(executor, Intake(executor), Reports(executor))
