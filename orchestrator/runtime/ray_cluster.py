"""The Cluster on Ray: Worker and Supervisor actors by node, found again by name. The only module that imports ray, with its actors."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator.errors import Unavailable
from orchestrator.model.dispatch import Dispatch, Inventory, Stop
from orchestrator.model.worker import DEFAULT_GROUP, WorkerInfo, resource_of
from orchestrator.runtime.cluster import Sighting
from orchestrator.runtime.ray_calls import NAMESPACE
from orchestrator.runtime.ray_workers import SupervisorActor, WorkerActor

SLIVER = 0.001  # of the group's resource: a resident actor must leave demand and capacity true
RETRY_CREATION = 5.0  # seconds between attempts to make a worker on a node that refused one


class RayCluster:
    """Implements `cluster.Cluster`. All methods run on the executor's event loop."""

    def __init__(self, *, owner: str, worker_config: dict[str, Any], head_slots: int = 0) -> None:
        self._owner, self._config = owner, worker_config
        self._head = str(ray.get_runtime_context().get_node_id())
        self._head_slots = head_slots  # of a default worker on our own node, where that node declares no group
        self._told: Callable[[str], None] = lambda place: None
        self._handles: dict[str, Any] = {}
        self._infos: dict[str, WorkerInfo] = {}
        self._making: dict[str, asyncio.Task[None]] = {}  # by node id
        self._refused: dict[str, float] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._found = False

    def on_lost(self, told: Callable[[str], None]) -> None:
        self._told = told

    async def look(self) -> Sighting:
        if not self._found:
            await self._find_living()
        staffed = {info.node_id for info in self._infos.values()}
        nodes = {node["NodeID"]: node for node in _nodes() if node["Alive"]}
        for node_id, node in nodes.items():
            group = _group_of(node)
            if group is None and node_id == self._head and self._head_slots:
                group = DEFAULT_GROUP
            if (
                group is not None
                and node_id not in staffed
                and node_id not in self._making
                and time.monotonic() - self._refused.get(node_id, -99.0) > RETRY_CREATION
            ):
                self._making[node_id] = asyncio.create_task(self._make(node_id, group, node))
        return Sighting(tuple(info for info in self._infos.values() if info.node_id in nodes))

    async def _find_living(self) -> None:
        """After a restart: the workers and supervisors that an earlier executor made."""
        for name in list_named_actors():
            if not name.startswith(("worker:", "supervisor:")):
                continue
            try:
                handle = ray.get_actor(name, namespace=NAMESPACE)
                inventory = await asyncio.wait_for(_inventory(handle), 10)
            except (ValueError, RayError, TimeoutError):
                continue
            self._adopt(name, handle, inventory)
        self._found = True

    def _adopt(self, name: str, handle: Any, inventory: Inventory) -> None:
        self._handles[name] = handle
        if name.startswith("worker:"):
            prefix = name.split(":")[2]
            node: dict[str, Any] = next((n for n in _nodes() if n["NodeID"].startswith(prefix)), {"NodeID": prefix})
            self._infos[name] = WorkerInfo(
                name=name,
                group=inventory.group,
                node_id=node["NodeID"],
                hostname=node.get("NodeManagerHostname", ""),
                slots=inventory.slots,
                labels=node.get("Labels", {}),
                version=inventory.version,
            )
        self._watching[name] = asyncio.create_task(self._watch(name, handle))

    async def _make(self, node_id: str, group: str, node: dict[str, Any]) -> None:
        name = f"worker:{group or 'default'}:{node_id[:8]}:{int(time.time() * 1000):x}"
        declared = resource_of(group) in node["Resources"]
        slots = int(node["Resources"][resource_of(group)]) if declared else self._head_slots
        config = {**self._config, "name": name, "group": group, "slots": slots, "node_id": node_id}
        try:
            handle = WorkerActor.options(  # type: ignore[attr-defined]
                name=name,
                namespace=NAMESPACE,
                lifetime="detached",
                num_cpus=0,
                resources={resource_of(group): SLIVER} if declared else {},
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
                max_restarts=0,
                max_concurrency=slots + 16,
            ).remote(json.dumps(config))
            self._adopt(name, handle, await asyncio.wait_for(_inventory(handle), 60))
        except (RayError, TimeoutError):
            self._refused[node_id] = time.monotonic()
        finally:
            del self._making[node_id]

    async def _watch(self, name: str, handle: Any) -> None:
        """Tell when an actor has died. `alive` answers only when another executor asks."""
        while True:
            try:
                await handle.alive.remote(self._owner)
                return  # another executor watches now
            except ActorDiedError:
                break
            except (ActorUnavailableError, RayError):
                await asyncio.sleep(0.2)
        self._handles.pop(name, None)
        self._infos.pop(name, None)
        self._watching.pop(name, None)
        self._told(name)

    def supervisor_of(self, worker: str) -> str:
        info = self._infos[worker]
        prefix = f"supervisor:{info.node_id[:8]}:"
        found = next((name for name in self._handles if name.startswith(prefix)), None)
        return found or self._make_supervisor(prefix, info)

    def _make_supervisor(self, prefix: str, info: WorkerInfo) -> str:
        name = f"{prefix}{int(time.time() * 1000):x}"
        config = {**self._config, "name": name, "group": info.group, "slots": 0, "node_id": info.node_id}
        handle = SupervisorActor.options(  # type: ignore[attr-defined]
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(info.node_id, soft=False),
            max_restarts=0,
            max_concurrency=512,
        ).remote(json.dumps(config))
        self._handles[name] = handle
        self._watching[name] = asyncio.create_task(self._watch(name, handle))
        return name

    def run(self, place: str, dispatch: Dispatch) -> None:
        handle = self._handles.get(place)
        if handle is None:
            asyncio.get_running_loop().call_soon(self._told, place)
            return
        title = f"{dispatch.namespace}.{dispatch.flow_id}/{dispatch.task_id} [{dispatch.execution_id}]"
        (handle.run if dispatch.kind == "task" else handle.evaluate).options(name=title).remote(dispatch.model_dump_json())

    def stop(self, place: str, stops: Sequence[Stop]) -> None:
        handle = self._handles.get(place)
        if handle is None:
            asyncio.get_running_loop().call_soon(self._told, place)
            return
        handle.stop.remote("[" + ",".join(stop.model_dump_json() for stop in stops) + "]")

    async def inventory(self, place: str) -> Inventory | None:
        handle = self._handles.get(place)
        if handle is None:
            return None
        try:
            return await asyncio.wait_for(_inventory(handle), 10)
        except ActorDiedError:
            return None
        except (RayError, TimeoutError) as err:
            raise Unavailable(f"{place} does not answer") from err


async def _inventory(handle: Any) -> Inventory:
    return Inventory.model_validate_json(await handle.inventory.remote())


def _group_of(node: dict[str, Any]) -> str | None:
    """The group whose worker a node is to hold, by its custom resource; None for a node of something else."""
    for resource in node["Resources"]:
        if resource.startswith("worker_group:"):
            key = resource.removeprefix("worker_group:")
            return "" if key == "_default" else str(key)
    return None


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return nodes
