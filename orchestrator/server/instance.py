"""Our groups, tokens and workers in the shapes of Kestra's instance API.

A worker group has exactly one queue, of its own id: what the group is tagged with. Everything that is sent to those tags is
the group's. So a subscription of a group is to its own queue only, and a share that is reserved there is a reservation for
every namespace: it is kept and told, and holds nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from orchestrator.model.access_token import AccessToken, Role
from orchestrator.model.values import Json, format_instant
from orchestrator.model.worker_group import Reserved, ReservedMode, WorkerGroup
from orchestrator.server import documents, minting
from orchestrator.server.answers import present
from orchestrator.server.problems import BadArgument

EVERYONE = ("*",)
STATES = {"up": "RUNNING", "draining": "TERMINATING", "lost": "DISCONNECTED", "silent": "DISCONNECTED", "starting": "CREATED"}


# --- groups and their queues


def group(declared: WorkerGroup, shown: Mapping[str, Any], tokens: Sequence[AccessToken]) -> Json:
    """A WG."""
    own = [token for token in tokens if token.role is Role.JOIN and token.group == declared.key]
    return present(
        {
            "id": declared.key,
            "name": declared.name or declared.key,
            "description": declared.description,
            "subscriptions": [subscription(declared)],
            "tokens": [minting.shown(token) for token in own],
            "deletable": declared.source != "file" and not shown["workers"],
            "createdAt": declared.created and format_instant(declared.created),
            "updatedAt": declared.updated and format_instant(declared.updated),
        }
    )


def subscription(declared: WorkerGroup) -> Json:
    """A group's one subscription."""
    share = _share(declared)
    mode = share.mode if share is not None else ReservedMode.ELASTIC
    return present({"queue": queue(declared), "reservedPercent": share.percent if share is not None else None, "mode": mode.value})


def queue(declared: WorkerGroup) -> dict[str, Any]:
    """A group's queue."""
    return {"id": declared.key, "name": declared.name or declared.key, "tags": list(declared.tags) or [declared.key]}


def _share(declared: WorkerGroup) -> Reserved | None:
    return next((one for one in declared.reserved if one.namespaces == EVERYONE), None)


def with_share(declared: WorkerGroup, percent: Json, mode: Json) -> WorkerGroup:
    """A group whose subscription reserves a share, or none. Raises BadArgument."""
    others = tuple(one for one in declared.reserved if one.namespaces != EVERYONE)
    if percent in (None, 0):
        return declared.model_copy(update={"reserved": others})
    share = documents.read(Reserved, {"percent": percent, "mode": mode or ReservedMode.STRICT}, namespaces=EVERYONE)
    if share.percent + sum(one.percent for one in others) > 100:
        raise BadArgument("the shares that the group reserves add up to more than 100 percent")
    return declared.model_copy(update={"reserved": (*others, share)})


def subscribed(declared: WorkerGroup, subscriptions: Json) -> WorkerGroup:
    """A group with the subscriptions of a body. Raises BadArgument for any other queue than its own."""
    if not isinstance(subscriptions, list) or not all(isinstance(one, Mapping) for one in subscriptions):
        raise BadArgument("`subscriptions` is a list of `workerQueueId`, `reservedPercent` and `mode`")
    for one in subscriptions:
        refuse_other_queue(declared.key, one.get("workerQueueId"))
        declared = with_share(declared, one.get("reservedPercent"), one.get("mode"))
    return declared if subscriptions else with_share(declared, None, None)


def refuse_other_queue(group_id: str, queue_id: Json) -> None:
    """Raises BadArgument unless the queue is the group's own."""
    if queue_id != group_id:
        raise BadArgument(f"a worker group has one queue, of its own id: '{group_id}' subscribes to '{group_id}', not to '{queue_id}'")


def refuse_tenants(body: Mapping[str, Json]) -> None:
    """Raises BadArgument for a queue that is not for everybody: there is one tenant."""
    if body.get("allowedTenants") not in (None, [], ["main"]):
        raise BadArgument("there is one tenant, main: keep a group for some with `allowedNamespaces` at /api/v1/worker-groups")


# --- workers and services


def worker(found: Mapping[str, Any]) -> Json:
    """A worker as a group lists it."""
    return present(
        {
            "workerId": found["id"],
            "workerName": found["name"],
            "tokenUid": found.get("token"),
            "state": STATES.get(found.get("state", ""), "RUNNING"),
            "createdAt": found.get("since"),
            "registeredAt": found.get("since"),
            "updatedAt": found.get("seen") or format_instant(datetime.now(UTC)),
            "capacity": found.get("slots"),
        }
    )


def capacity(declared: WorkerGroup, shown: Mapping[str, Any], now: datetime) -> Json:
    """What a group's slots are used for."""
    used, slots = shown["used"], shown["slots"]
    share = _share(declared)
    kept = slots * share.percent // 100 if share is not None else 0
    own = min(used, kept)
    return {
        "workerGroupId": declared.key,
        "totalAllocated": slots,
        "totalUsed": used,
        "totalInflight": used,
        "subscriptions": [{"workerQueueId": declared.key, "allocated": kept, "used": own}],
        "shared": {"allocated": slots - kept, "used": used - own},
        "totalEndedRate": 0,
        "snapshotAt": format_instant(now),
    }


def services(workers: Sequence[Mapping[str, Any]], *, version: str, host: str, installation: str, now: datetime) -> list[dict[str, Any]]:
    """Every process of ours that Kestra would name: those of the head, and the workers."""
    at = format_instant(now)
    server = {"id": installation, "type": "STANDALONE", "version": version, "hostname": host}
    head = [
        {"id": f"{kind.lower()}", "type": kind, "state": "RUNNING", "server": server, "createdAt": at, "updatedAt": at}
        for kind in ("EXECUTOR", "SCHEDULER", "WEBSERVER")
    ]
    return [*head, *(_service(one, at) for one in workers)]


def _service(found: Mapping[str, Any], at: str) -> dict[str, Any]:
    server = {"id": found["id"], "type": "WORKER", "version": found.get("version", ""), "hostname": found.get("hostname", "")}
    state = STATES.get(found.get("state", ""), "RUNNING")
    return {"id": found["id"], "type": "WORKER", "state": state, "server": server, "createdAt": found.get("since") or at, "updatedAt": found.get("seen") or at}
