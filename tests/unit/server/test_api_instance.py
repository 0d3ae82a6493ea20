"""Kestra's instance API: our groups, tokens and workers in its shapes, and what cannot be said in them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_site import Site

pytestmark = pytest.mark.anyio
GROUPS, QUEUES = "/api/v1/instance/worker-groups", "/api/v1/instance/worker-queues"
GPU = {"id": "gpu", "name": "Machines with a GPU", "description": "fast", "subscriptions": [{"workerQueueId": "gpu", "reservedPercent": 40, "mode": "STRICT"}]}


async def test_a_group_is_made_changed_and_deleted(api: httpx.AsyncClient) -> None:
    made = (await api.post(GROUPS, json=GPU)).json()
    assert (made["id"], made["name"], made["description"], made["deletable"], made["tokens"]) == ("gpu", "Machines with a GPU", "fast", True, [])
    assert made["subscriptions"] == [{"queue": {"id": "gpu", "name": "Machines with a GPU", "tags": ["gpu"]}, "reservedPercent": 40, "mode": "STRICT"}]
    assert {"createdAt", "updatedAt"} <= made.keys()
    assert (await api.post(GROUPS, json=GPU)).status_code == 409
    changed = (await api.put(f"{GROUPS}/gpu", json={"name": "GPU", "subscriptions": [{"workerQueueId": "gpu"}]})).json()
    assert (changed["name"], "description" in changed, changed["subscriptions"][0]["mode"]) == ("GPU", False, "ELASTIC")
    assert "reservedPercent" not in changed["subscriptions"][0]
    assert [group["id"] for group in (await api.get(GROUPS)).json()["workerGroups"]] == ["gpu"]
    assert (await api.get(f"{GROUPS}/gpu")).json() == changed
    assert (await api.delete(f"{GROUPS}/gpu")).status_code == 204
    assert (await api.get(f"{GROUPS}/gpu")).status_code == 404


async def test_what_our_own_api_says_of_a_group_is_kept_when_this_one_changes_it(api: httpx.AsyncClient) -> None:
    own = {"key": "gpu", "tags": ["cuda"], "max": 4, "reserved": [{"namespaces": ["prod.*"], "percent": 30, "mode": "STRICT"}]}
    await api.post("/api/v1/worker-groups", json=own)
    assert (await api.put(f"{GROUPS}/gpu", json={"name": "g", "subscriptions": [{"workerQueueId": "gpu", "reservedPercent": 50}]})).status_code == 200
    declared = (await api.get("/api/v1/worker-groups/gpu")).json()["declaration"]
    assert (declared["max"], declared["tags"], declared["name"]) == (4, ["cuda"], "g")
    assert [(one["namespaces"], one["percent"]) for one in declared["reserved"]] == [(["prod.*"], 30), (["*"], 50)]
    too_much = await api.put(f"{GROUPS}/gpu", json={"name": "g", "subscriptions": [{"workerQueueId": "gpu", "reservedPercent": 71}]})
    assert (too_much.status_code, "more than 100 percent" in too_much.json()["message"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "x"}, "a worker group has an `id` and a `name`"),
        ({"id": "gpu"}, "a worker group has an `id` and a `name`"),
        ({"id": "-gpu", "name": "x"}, "`key` must match"),
        ({**GPU, "subscriptions": [{"workerQueueId": "other"}]}, "a worker group has one queue, of its own id: 'gpu' subscribes to 'gpu', not to 'other'"),
        ({**GPU, "subscriptions": [{"workerQueueId": "gpu", "reservedPercent": 140}]}, "`percent` must be less than or equal to 100"),
        ({**GPU, "subscriptions": [{"workerQueueId": "gpu", "reservedPercent": 40, "mode": "SOFT"}]}, "`mode` must be 'STRICT' or 'ELASTIC'"),
        ({**GPU, "subscriptions": "gpu"}, "`subscriptions` is a list"),
    ],
)
async def test_what_cannot_be_is_refused_clearly(api: httpx.AsyncClient, body: dict[str, Any], message: str) -> None:
    answer = await api.post(GROUPS, json=body)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"Illegal argument: {message}"), answer.json()["message"]


async def test_a_subscription_is_to_the_groups_own_queue_and_stays(api: httpx.AsyncClient) -> None:
    await api.post(GROUPS, json={**GPU, "subscriptions": []})
    path = f"{GROUPS}/gpu/subscriptions"
    added = await api.post(path, json={"workerQueueId": "gpu", "reservedPercent": 20, "mode": "ELASTIC"})
    assert added.json()["subscriptions"][0] | {"reservedPercent": 20, "mode": "ELASTIC"} == added.json()["subscriptions"][0]
    patched = (await api.patch(f"{path}/gpu", json={"reservedPercent": 30, "mode": "STRICT"})).json()["subscriptions"][0]
    assert (patched["reservedPercent"], patched["mode"]) == (30, "STRICT")
    for answer in (await api.post(path, json={"workerQueueId": "other"}), await api.patch(f"{path}/other", json={}), await api.delete(f"{path}/other")):
        assert (answer.status_code, "a worker group has one queue, of its own id" in answer.json()["message"]) == (422, True)
    kept = await api.delete(f"{path}/gpu")
    assert (kept.status_code, kept.json()["message"]) == (409, "Illegal state: the queue of worker group 'gpu' is its own: it goes with the group")


async def test_a_groups_tokens_are_made_revoked_and_deleted(api: httpx.AsyncClient) -> None:
    await api.post(GROUPS, json=GPU)
    await api.post(GROUPS, json={"id": "cpu", "name": "cpu"})
    made = (await api.post(f"{GROUPS}/gpu/tokens", json={"name": "box", "expiresAt": "2099-01-01T00:00:00Z"})).json()
    details = made["details"]
    assert made["token"].startswith(f"{details['tokenPrefix']}_")
    assert {"uid", "name", "tokenPrefix", "createdAt", "expiresAt", "useCount", "revoked", "valid"} <= details.keys()
    assert (await api.get(f"{GROUPS}/gpu")).json()["tokens"] == [details]
    assert (await api.post(f"{GROUPS}/cpu/tokens/{details['uid']}/revoke")).status_code == 404
    revoked = (await api.post(f"{GROUPS}/gpu/tokens/{details['uid']}/revoke")).json()["tokens"][0]
    assert (revoked["revoked"], revoked["valid"]) == (True, False)
    assert (await api.delete(f"{GROUPS}/gpu/tokens/{details['uid']}")).status_code == 204
    assert (await api.get(f"{GROUPS}/gpu")).json()["tokens"] == []
    assert (await api.post(f"{GROUPS}/none/tokens", json={"name": "box"})).status_code == 404


async def test_workers_and_capacity_of_a_group(open_site: Site, api: httpx.AsyncClient) -> None:
    labels = {"orchestrator-token": "0123456789ab"}
    up = {"name": "w1", "group": "gpu", "nodeId": "n" * 20, "hostname": "box", "slots": 10, "labels": labels, "version": "0.1.0"}
    open_site.executor.workers = [up, {**up, "name": "w2", "nodeId": "m" * 20, "state": "draining"}]
    await api.post(GROUPS, json=GPU)
    workers = {worker["workerName"]: worker for worker in (await api.get(f"{GROUPS}/gpu/workers")).json()["workers"]}
    assert {name: (one["workerId"], one["state"], one["tokenUid"], one["capacity"]) for name, one in workers.items()} == {
        "w1": ("n" * 12, "RUNNING", "0123456789ab", 10),
        "w2": ("m" * 12, "TERMINATING", "0123456789ab", 10),
    }
    assert {"createdAt", "updatedAt", "registeredAt"} <= workers["w1"].keys()
    told = (await api.get(f"{GROUPS}/gpu/capacity")).json()
    assert told.pop("snapshotAt")
    assert told == {
        "workerGroupId": "gpu",
        "totalAllocated": 10,
        "totalUsed": 0,
        "totalInflight": 0,
        "subscriptions": [{"workerQueueId": "gpu", "allocated": 4, "used": 0}],
        "shared": {"allocated": 6, "used": 0},
        "totalEndedRate": 0,
    }
    assert (await api.get(f"{GROUPS}/gpu")).json()["deletable"] is False


# --- queues


async def test_a_queue_is_its_groups_tags_and_may_come_first(api: httpx.AsyncClient) -> None:
    made = (await api.post(QUEUES, json={"id": "gpu", "tags": ["cuda", "eu"], "description": "fast"})).json()
    assert made == {"id": "gpu", "name": "gpu", "tags": ["cuda", "eu"], "description": "fast", "activeWorkers": 0}
    assert (await api.post(GROUPS, json=GPU)).json()["subscriptions"][0]["queue"]["tags"] == ["cuda", "eu"]
    assert (await api.post(GROUPS, json=GPU)).status_code == 409
    assert (await api.put(f"{QUEUES}/gpu", json={"tags": ["cuda"]})).json()["tags"] == ["cuda"]
    assert (await api.get("/api/v1/worker-groups/gpu")).json()["declaration"]["tags"] == ["cuda"]
    assert [queue["id"] for queue in (await api.get(QUEUES)).json()["workerQueues"]] == ["gpu"]
    assert (await api.get(f"{QUEUES}/gpu")).json()["workers"] == []
    told = (await api.get(f"{QUEUES}/gpu/subscribers")).json()["subscribers"]
    assert told == [{"workerGroupId": "gpu", "workerGroupName": "Machines with a GPU", "reservedPercent": 40, "mode": "STRICT"}]
    assert (await api.delete(f"{QUEUES}/gpu")).status_code == 204
    assert (await api.get(f"{GROUPS}/gpu")).status_code == 404


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"tags": ["a"]}, "a worker queue has an `id`"),
        ({"id": "q", "tags": []}, "`tags` is a list of texts that is not empty"),
        ({"id": "q"}, "`tags` is a list of texts that is not empty"),
        ({"id": "q", "tags": ["a"], "allowedTenants": ["other"]}, "there is one tenant, main"),
    ],
)
async def test_a_queue_that_cannot_be_is_refused(api: httpx.AsyncClient, body: dict[str, Any], message: str) -> None:
    answer = await api.post(QUEUES, json=body)
    assert (answer.status_code, answer.json()["message"].startswith(f"Illegal argument: {message}")) == (422, True)


async def test_the_tags_that_a_selector_may_name(open_site: Site, api: httpx.AsyncClient) -> None:
    open_site.executor.workers = [{"name": "w1", "group": "gpu", "nodeId": "n1", "slots": 1, "labels": {"zone": "eu", "ray.io/node-id": "n1"}}]
    await api.post(QUEUES, json={"id": "gpu", "tags": ["cuda"]})
    await api.post("/api/v1/worker-groups", json={"key": "cpu", "labels": {"size": "big"}})
    for path in ("/api/v1/worker-selectors/tags", "/api/v1/main/worker-selectors/tags"):
        assert (await api.get(path)).json() == ["cpu", "cuda", "gpu", "size=big", "zone=eu"]


# --- services


async def test_services_are_what_runs_here(open_site: Site, api: httpx.AsyncClient) -> None:
    up = {"name": "w1", "group": "", "nodeId": "n" * 20, "hostname": "box", "slots": 8, "version": "0.1.0"}
    open_site.executor.workers = [up, {**up, "name": "w2", "nodeId": "m" * 20}]
    await api.get("/api/v1/workers")
    open_site.executor.workers = [up]
    found = (await api.get("/api/v1/instance/services/search?size=3")).json()
    assert (found["total"], [one["type"] for one in found["results"]]) == (5, ["EXECUTOR", "SCHEDULER", "WEBSERVER"])
    rest = (await api.get("/api/v1/instance/services/search?size=3&page=2")).json()["results"]
    assert [(one["type"], one["state"], one["server"]["hostname"], one["server"]["version"]) for one in rest] == [
        ("WORKER", "RUNNING", "box", "0.1.0"),
        ("WORKER", "DISCONNECTED", "box", "0.1.0"),
    ]
    active = (await api.get("/api/v1/instance/services/active")).json()
    assert (active["total"], {"type": "WORKER", "total": 1} in active["services"]) == (4, True)
    one = (await api.get(f"/api/v1/instance/services/{'n' * 12}")).json()
    assert (one["id"], one["server"]) == (rest[0]["id"], rest[0]["server"])
    assert (await api.get("/api/v1/instance/services/nothing")).status_code == 404
