"""The Cluster on Ray: Worker and Supervisor actors by node, found again by name. The only module that imports ray, with its actors."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError
from ray.util import list_named_actors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from orchestrator import __version__
from orchestrator.errors import Unavailable
from orchestrator.model.dispatch import Dispatch, Inventory, Stop
from orchestrator.model.growth import Ask
from orchestrator.model.place_name import BACKEND, PROCESS, SUPERVISOR, WORKER, PlaceName, node_prefix
from orchestrator.model.resources import Resources
from orchestrator.model.stock import Stock, StockAsk
from orchestrator.model.versions import serves
from orchestrator.model.worker import DEFAULT_GROUP, WorkerInfo, WorkerState, resource_of
from orchestrator.runtime.cluster import Sighting
from orchestrator.runtime.ray_calls import NAMESPACE
from orchestrator.runtime.ray_scaling import SLIVER, Machines
from orchestrator.runtime.ray_workers import BackendActor, ProcessActor, SupervisorActor, WorkerActor

MACHINE = ("CPU", "GPU", "memory")
HEARD = 5.0  # seconds for a process of its own to hear that it must stop
STOCKTAKING = 120.0  # seconds for all back ends of a machine to answer
LEAVING = 30.0  # seconds that a place may take to end by itself
RETRY_CREATION = 5.0  # seconds between attempts to make a worker on a node that refused one
log = logging.getLogger(__name__)


class RayCluster:
    """Implements `cluster.Cluster`. All methods run on the executor's event loop."""

    def __init__(self, *, owner: str, worker_config: dict[str, Any], head_slots: int = 0, owns_head: bool = True) -> None:
        """`head_slots`: of a default worker on our own node, where that node declares no group. `owns_head`: what an earlier
        session left on the head's machine was ended before this one began."""
        self._owner, self._config = owner, worker_config
        self._head = str(ray.get_runtime_context().get_node_id())
        self._head_slots, self._owns_head = head_slots, owns_head
        self._lost: Callable[[str, bool], None] = lambda place, is_certain: None
        self._heard: Callable[[str], None] = lambda place: None
        self._handles: dict[str, Any] = {}
        self._infos: dict[str, WorkerInfo] = {}
        self._making: dict[str, tuple[WorkerInfo, asyncio.Task[None]]] = {}  # by node id
        self._refused: dict[str, float] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._machines = Machines()
        self._found = False
        self._draining: set[str] = set()  # places that take nothing new

    def on_lost(self, told: Callable[[str, bool], None]) -> None:
        self._lost = told

    def on_beat(self, told: Callable[[str], None]) -> None:
        self._heard = told

    # --- looking

    async def look(self) -> Sighting:
        if not self._found:
            await self._find_living()
        nodes = {node["NodeID"]: node for node in _nodes() if node["Alive"]}
        self._machines.see(nodes)
        for node_id, node in nodes.items():
            group = self._group_on(node_id, node)
            if group is not None and self._lacks_worker(node_id):
                self._machines.came(group)
                starting = self._info("", node_id, group, node).model_copy(update={"name": f"starting:{node_prefix(node_id)}", "state": WorkerState.STARTING})
                self._making[node_id] = (starting, asyncio.create_task(self._make(node_id, group, node)))
        there = tuple(info for info in self._infos.values() if info.node_id in nodes)
        return Sighting((*there, *(info for node_id, (info, _) in self._making.items() if node_id in nodes)))

    def _group_on(self, node_id: str, node: dict[str, Any]) -> str | None:
        group = _group_of(node)
        return DEFAULT_GROUP if group is None and node_id == self._head and self._head_slots else group

    def _lacks_worker(self, node_id: str) -> bool:
        staffed = any(info.node_id == node_id for info in self._infos.values())
        return (
            not staffed
            and not self._machines.rests(node_id)
            and node_id not in self._making
            and time.monotonic() - self._refused.get(node_id, -99.0) > RETRY_CREATION
        )

    async def _find_living(self) -> None:
        """After a restart: the workers, supervisors and processes that an earlier executor made."""
        nodes = {node_prefix(node["NodeID"]): node for node in _nodes()}
        for name in list_named_actors():
            place = PlaceName.parse(name)
            if place is None:
                continue
            try:
                handle = ray.get_actor(name, namespace=NAMESPACE)
                inventory = await asyncio.wait_for(_inventory(handle), 10)
            except (ValueError, RayError, TimeoutError):
                continue
            self._heard(name)
            self._watch_over(name, handle)
            node = nodes.get(place.node)
            if place.kind == WORKER and node is not None:
                info = self._info(name, node["NodeID"], inventory.group, node)
                self._infos[name] = info.model_copy(update={"slots": inventory.slots, "version": inventory.version, "engine": inventory.engine})
        self._found = True

    def _info(self, name: str, node_id: str, group: str, node: dict[str, Any]) -> WorkerInfo:
        declared = node["Resources"].get(resource_of(group))
        return WorkerInfo(
            name=name,
            group=group,
            node_id=node_id,
            slots=int(declared) if declared is not None else self._head_slots,
            hostname=node.get("NodeManagerHostname", ""),
            labels=node.get("Labels", {}),
            resources={kind: node["Resources"].get(kind, 0.0) for kind in MACHINE},
        )

    # --- making

    async def _make(self, node_id: str, group: str, node: dict[str, Any]) -> None:
        name = self._name(WORKER, group, node_id)
        info = self._info(name, node_id, group, node)
        held = {resource_of(group): SLIVER} if resource_of(group) in node["Resources"] else {}
        try:
            handle = self._made(WorkerActor, name, info, slots=info.slots, max_concurrency=info.slots + 16, resources=held)
            inventory = await asyncio.wait_for(_inventory(handle), 60)
            if inventory.version and not serves(__version__, inventory.version):
                self._never(node_id, handle, inventory.version)
                return
            self._infos[name] = info.model_copy(update={"version": inventory.version, "engine": inventory.engine})
            self._heard(name)
            self._watch_over(name, handle)
        except (RayError, TimeoutError):
            self._refused[node_id] = time.monotonic()
        finally:
            del self._making[node_id]

    def _never(self, node_id: str, handle: Any, version: str) -> None:
        """A node that came past the server's door with another version of us: told once, and not tried again."""
        self._refused[node_id] = math.inf
        log.warning(
            "node-not-served node=%s version=%s ours=%s: install the server's version there, or end the node", node_prefix(node_id), version, __version__
        )
        ray.kill(handle, no_restart=True)

    def _name(self, kind: str, label: str, node_id: str) -> str:
        return str(PlaceName(kind, label, node_prefix(node_id), f"{int(time.time() * 1000):x}", node_id == self._head))

    def _made(self, actor: Any, name: str, info: WorkerInfo, *, slots: int, **options: Any) -> Any:
        """A detached actor of ours on the node of a worker."""
        config = {**self._config, "name": name, "group": info.group, "slots": slots, "node_id": info.node_id}
        return actor.options(
            **{"num_cpus": 0, **options},
            name=name,
            namespace=NAMESPACE,
            lifetime="detached",
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(info.node_id, soft=False),
        ).remote(json.dumps(config))

    def supervisor_of(self, worker: str, backend: str = "") -> str:
        info = self._infos[worker]
        if backend:
            return self._backend_supervisor(info, f"{backend}@{info.group}")
        found = next((name for name in self._handles if _is_supervisor_on(name, info.node_id)), None)
        if found is not None:
            return found
        name = self._name(SUPERVISOR, info.group, info.node_id)
        self._watch_over(name, self._made(SupervisorActor, name, info, slots=0, max_concurrency=512))
        return name

    def _backend_supervisor(self, info: WorkerInfo, label: str) -> str:
        found = next((name for name in self._of_kind(BACKEND) if PlaceName.label_of(name) == label and name not in self._draining), None)
        if found is not None:
            return found
        name = self._name(BACKEND, label, info.node_id)
        self._watch_over(name, self._made(BackendActor, name, info, slots=0, max_concurrency=512))
        return name

    def _of_kind(self, kind: str) -> list[str]:
        return [name for name in self._handles if (place := PlaceName.parse(name)) is not None and place.kind == kind]

    def process_on(self, worker: str, key: str, resources: Resources) -> str:
        info = self._infos[worker]
        found = next((name for name in self._handles if (place := PlaceName.parse(name)) and place.kind == PROCESS and place.label == key), None)
        if found is not None:
            return found
        name = self._name(PROCESS, key, info.node_id)
        asked = {"num_cpus": resources.cpu, "num_gpus": resources.gpu, "memory": resources.memory or None}
        held = {resource_of(info.group): SLIVER} if info.resources else {}
        self._watch_over(name, self._made(ProcessActor, name, info, slots=1, max_concurrency=8, resources=held, **asked))
        return name

    # --- watching

    def _watch_over(self, name: str, handle: Any) -> None:
        self._handles[name] = handle
        self._watching[name] = asyncio.create_task(self._watch(name, handle))

    async def _watch(self, name: str, handle: Any) -> None:
        """Tell when an actor has died. `alive` answers only when another executor asks."""
        while True:
            try:
                await handle.alive.remote(self._owner)
                return  # another executor watches now
            except ActorDiedError as err:
                is_certain = _its_process_died(err) and self._is_up(name)
                break
            except (ActorUnavailableError, RayError):
                await asyncio.sleep(0.2)
        self._forget(name)
        self._lost(name, is_certain)

    def _is_up(self, name: str) -> bool:
        """Whether the node of a place is alive."""
        place = PlaceName.parse(name)
        return place is not None and any(node["Alive"] and node_prefix(node["NodeID"]) == place.node for node in _nodes())

    def _forget(self, name: str) -> None:
        self._handles.pop(name, None)
        self._infos.pop(name, None)
        self._watching.pop(name, None)
        self._draining.discard(name)

    def end(self, place: str) -> None:
        handle = self._handles.get(place)
        if handle is not None:
            self._leaving.add(task := asyncio.create_task(_end(handle)))
            task.add_done_callback(self._leaving.discard)

    # --- machines

    def want(self, asks: Sequence[Ask]) -> None:
        self._machines.want(asks)

    def retire(self, worker: str, *, for_good: bool) -> None:
        info = self._infos.get(worker)
        if info is None:
            return
        self._machines.rest(info.node_id, None if for_good else info.group)
        for name in [worker, *(name for name in self._handles if _is_supervisor_on(name, info.node_id))]:
            self.end(name)
        for name in self._backends_on(worker):
            self._handles[name].hand_back.remote()

    def _backends_on(self, worker: str) -> list[str]:
        """The supervisors that happen to stand on a worker's machine."""
        here = PlaceName.parse(worker)
        found = [name for name in self._of_kind(BACKEND) if here is not None and (place := PlaceName.parse(name)) is not None and place.node == here.node]
        self._draining.update(found)
        return found

    async def troubles(self) -> Sequence[str]:
        return await self._machines.troubles()

    # --- sending

    def run(self, place: str, dispatch: Dispatch) -> None:
        handle = self._handles.get(place)
        if handle is None:
            asyncio.get_running_loop().call_soon(self._lost, place, self._is_gone(place))
            return
        title = f"{dispatch.namespace}.{dispatch.flow_id}/{dispatch.task_id} [{dispatch.execution_id}]"
        (handle.run if dispatch.kind == "task" else handle.evaluate).options(name=title).remote(dispatch.model_dump_json())

    def stop(self, place: str, stops: Sequence[Stop]) -> None:
        handle = self._handles.get(place)
        if handle is None:
            asyncio.get_running_loop().call_soon(self._lost, place, self._is_gone(place))
            return
        told = handle.stop.remote("[" + ",".join(stop.model_dump_json() for stop in stops) + "]")
        if (name := PlaceName.parse(place)) is not None and name.kind == PROCESS:
            self._leaving.add(task := asyncio.create_task(_heard_or_killed(handle, told)))
            task.add_done_callback(self._leaving.discard)

    def places_with(self, worker: str) -> Sequence[str]:
        here = PlaceName.parse(worker)
        found = ((name, PlaceName.parse(name)) for name in self._handles)
        return [name for name, place in found if here is not None and place is not None and place.node == here.node and place.kind != BACKEND]

    def drain(self, worker: str) -> None:
        for name in self._backends_on(worker):  # they need not stay until their jobs have ended
            self._handles[name].hand_back.remote()
        for name in self.places_with(worker):
            self._handles[name].drain.remote()

    def hand_back(self, worker: str) -> None:
        for name in self._backends_on(worker):
            self._handles[name].hand_back.remote()
        for name in self.places_with(worker):
            self._handles[name].hand_back.remote()

    def _is_gone(self, place: str) -> bool:
        """Whether a place that we do not know has surely stopped: its node is there without it, or was ended with our own head."""
        name = PlaceName.parse(place)
        return self._is_up(place) or (self._owns_head and name is not None and name.on_head)

    async def inventory(self, place: str) -> Inventory | None:
        handle = self._handles.get(place)
        if handle is None:
            if self._is_gone(place):
                return None
            raise Unavailable(f"{place} is out of reach")
        try:
            return await asyncio.wait_for(_inventory(handle), 10)
        except ActorDiedError:
            return None
        except (RayError, TimeoutError) as err:
            raise Unavailable(f"{place} does not answer") from err

    async def stock(self, worker: str, ask: StockAsk) -> Stock:
        here = self._infos.get(worker)
        name = next((name for name in self._handles if here is not None and _is_supervisor_on(name, here.node_id)), worker)
        handle = self._handles.get(name)
        if handle is None:
            raise Unavailable(f"{worker} is out of reach")
        try:
            return Stock.model_validate_json(await asyncio.wait_for(handle.stock.remote(ask.model_dump_json()), STOCKTAKING))
        except (RayError, TimeoutError) as err:
            raise Unavailable(f"{worker} does not answer") from err


async def _end(handle: Any) -> None:
    """Let it leave by itself, and end it when it does not."""
    try:
        await asyncio.wait_for(handle.leave.remote(), LEAVING)
    except ActorDiedError:
        return
    except (RayError, TimeoutError):
        ray.kill(handle, no_restart=True)


async def _heard_or_killed(handle: Any, told: Any) -> None:
    """A process that Ray has not begun yet, for want of resources, hears nothing: it is not begun at all."""
    try:
        await asyncio.wait_for(told, HEARD)
    except ActorDiedError:
        return
    except (RayError, TimeoutError):
        ray.kill(handle, no_restart=True)


def _its_process_died(err: ActorDiedError) -> bool:
    """Whether Ray says that only the actor's process ended, not that its node is gone. It says so in words alone."""
    return "worker process has died" in str(err) or "ray.kill" in str(err) or "exit_actor" in str(err)


def _is_supervisor_on(name: str, node_id: str) -> bool:
    place = PlaceName.parse(name)
    return place is not None and place.kind == SUPERVISOR and place.node == node_prefix(node_id)


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
