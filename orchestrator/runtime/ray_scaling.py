"""What Ray's autoscaler is asked for, and the machines that are left without a worker so that it may take them away.

Every machine wanted is a placement group that fits on no machine which is there: its demand is what the autoscaler sees.

- `ray.autoscaler.sdk.request_resources` would be simpler, but it is one wish for the whole cluster: anybody else's call (Ray
  Data makes them) replaces ours, a single part that cannot be had makes autoscaler v2 disregard all of it, machines that
  joined by themselves do not count for it, and it outlives the one who wished.
- Pending tasks all run on the first machine that comes, on one lease; pending actors take a process each.
- A placement group is a reservation without a process, stands for itself, and goes with the executor that made it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from orchestrator.model.growth import Ask
from orchestrator.model.worker import resource_of

SLIVER = 0.001  # of the group's resource: a resident actor must leave demand and capacity true
MOST_AT_ONCE = 50  # placement groups made in one go: each takes about a millisecond of the executor's time
RECENT = 600  # seconds for which a failed launch is told
STATUS_WITHIN = 5  # seconds for the autoscaler's own account
NODE = "ray.io/node-id"

log = logging.getLogger(__name__)
Shape = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class _Placeholder:
    shape: Shape
    beside: frozenset[str]
    group: Any


class Machines:
    """Machines that are wanted, by group, and those that rest. All methods run on the executor's event loop."""

    def __init__(self) -> None:
        self._wanted: dict[str, list[_Placeholder]] = {}
        self._resting: dict[str, str | None] = {}  # by node id: the group that may want it back

    def rest(self, node_id: str, group: str | None) -> None:
        """Leave a node without a worker, until its group wants one; without a group, for good."""
        self._resting[node_id] = group

    def rests(self, node_id: str) -> bool:
        return node_id in self._resting

    def see(self, nodes: Collection[str]) -> None:
        """Forget the nodes that have gone."""
        self._resting = {node_id: group for node_id, group in self._resting.items() if node_id in nodes}

    def came(self, group: str) -> None:
        """A node of a group is there and gets its worker: nothing that stands for it may hold its resources. What is still
        wanted is asked for again with the next `want`."""
        self._remove(self._wanted.pop(group, ()))

    def want(self, asks: Sequence[Ask]) -> None:
        """Have these machines come, and no others; those that rest are taken first. A group that is not named lets none rest."""
        named = {ask.group: ask for ask in asks}
        self._resting = {node_id: group for node_id, group in self._resting.items() if group is None or group in named}
        for group in set(self._wanted) - set(named):
            self._remove(self._wanted.pop(group))
        for ask in asks:
            self._ask(ask)

    def _ask(self, ask: Ask) -> None:
        resting = [node_id for node_id, group in self._resting.items() if group == ask.group]
        woken = resting[: ask.machines]
        for node_id in woken:
            del self._resting[node_id]
        beside = ask.beside | frozenset(resting)
        wanted = _shapes(ask)[len(woken) :]
        kept: list[_Placeholder] = []
        for one in self._wanted.get(ask.group, ()):
            if one.beside == beside and one.shape in wanted:
                wanted.remove(one.shape)
                kept.append(one)
            else:
                self._remove([one])
        kept.extend(self._made(ask.group, wanted[:MOST_AT_ONCE], beside))
        self._wanted[ask.group] = kept

    def _made(self, group: str, shapes: Iterable[Shape], beside: frozenset[str]) -> Iterable[_Placeholder]:
        # Without the selector one would find room on a machine that is there, where that has more slots than a new one will.
        selector = [{NODE: f"!in({','.join(sorted(beside))})"}] if beside else None
        try:
            for shape in shapes:
                made = placement_group([dict(shape)], strategy="STRICT_PACK", name=f"wanted:{group or 'default'}", bundle_label_selector=selector)
                yield _Placeholder(shape, beside, made)
        except Exception as err:  # whatever it is, the next look asks again; the executor must go on looking
            log.warning("demand-refused group=%s error=%s", group or "default", err)

    @staticmethod
    def _remove(some: Iterable[_Placeholder]) -> None:
        for one in some:
            try:
                remove_placement_group(one.group)
            except Exception as err:  # it goes with this executor at the latest
                log.warning("demand-kept error=%s", err)

    async def troubles(self) -> tuple[str, ...]:
        """What the autoscaler says of launches that failed lately; nothing where it is the older one, which does not say."""
        try:
            return await asyncio.to_thread(_failed_launches, str(ray.get_runtime_context().gcs_address))
        except Exception as err:  # an account of somebody else's troubles may never become ours
            log.info("autoscaler-silent error=%s", err)
            return ()


def _shapes(ask: Ask) -> list[Shape]:
    """What each machine must have: all slots of a new one, so that two never share it, or the resources of a run."""
    resource = resource_of(ask.group)
    own: list[Mapping[str, float]] = [{**bundle.by_name, resource: SLIVER} for bundle in ask.bundles]
    return [tuple(sorted(shape.items())) for shape in [{resource: float(ask.slots)}] * ask.workers + own]


def _failed_launches(address: str) -> tuple[str, ...]:
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(address, timeout=STATUS_WITHIN)
    failed = [one for one in status.failed_launches if time.time() - (one.failed_ts_s or 0) < RECENT]
    by_kind = {one.ray_node_type_name: [other for other in failed if other.ray_node_type_name == one.ray_node_type_name] for one in failed}
    return tuple(_told(kind, len(some), some[-1].details or "") for kind, some in sorted(by_kind.items()))


def _told(kind: str, count: int, details: str) -> str:
    """Ray keeps the provider's own words to the log of its monitor more often than not."""
    return f"{kind}: {count} launch{'es' if count > 1 else ''} failed ({details.strip()[:300] or 'the reason is in monitor.log on the head node'})"
