"""Worker groups and what namespaces say of places, over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from api_site import YAML, Site

pytestmark = pytest.mark.anyio
GROUPS = "/api/v1/worker-groups"
DEFAULTS = "/api/v1/namespaces/io.acme/defaults"


def flow(place: str, id: str = "user") -> str:
    return f"id: {id}\nnamespace: io.acme\ntasks:\n  - id: s\n    type: x.Y\n    tasks:\n      - id: t\n        type: x.Y\n{place}"


async def test_a_group_is_declared_shown_changed_and_undeclared(api: httpx.AsyncClient) -> None:
    made = await api.post(GROUPS, json={"key": "gpu", "description": "fast", "labels": {"zone": "eu"}, "tags": ["cuda"], "min": 1, "max": 3, "slots": 2})
    assert made.status_code == 200
    found = (await api.get(f"{GROUPS}/gpu")).json()
    assert (found["key"], found["declared"], found["workers"], found["queued"], found["slots"], found["used"]) == ("gpu", True, [], 2, 0, 0)
    assert found["declaration"] | {"description": "fast", "min": 1, "max": 3, "slots": 2, "tags": ["cuda"], "idleTimeout": "PT5M"} == found["declaration"]
    assert (await api.post(GROUPS, json={"key": "gpu"})).status_code == 409
    changed = (await api.put(f"{GROUPS}/gpu", json={"min": 2, "reserved": {"namespaces": ["prod.*"], "percent": 40}})).json()["declaration"]
    assert (changed["min"], changed["reserved"], "max" in changed) == (2, [{"namespaces": ["prod.*"], "percent": 40, "mode": "STRICT"}], False)
    assert changed["created"] == found["declaration"]["created"] <= changed["updated"]
    assert (await api.put(f"{GROUPS}/gpu", json=changed)).status_code == 200  # as it was told
    assert (await api.delete(f"{GROUPS}/gpu")).status_code == 204
    assert (await api.get(f"{GROUPS}/gpu")).json()["declared"] is False  # work waits for it
    assert (await api.delete(f"{GROUPS}/gpu")).status_code == 404


async def test_a_worker_that_is_there_links_to_its_node_in_the_ray_dashboard(open_site: Site, api: httpx.AsyncClient) -> None:
    open_site.executor.workers = [{"name": "w1", "group": "gpu", "nodeId": "n1", "slots": 1, "hostname": "box"}]
    (worker,) = (await api.get("/api/v1/workers")).json()["workers"]
    assert worker["rayDashboard"] == "http://127.0.0.1:8265/#/cluster/nodes/n1"


async def test_groups_show_workers_and_what_waits_declared_or_not(api: httpx.AsyncClient) -> None:
    await api.post(GROUPS, json={"key": "idle"})
    groups = (await api.get(GROUPS)).json()["workerGroups"]
    assert [(group["key"], group["declared"], group["slots"], group["queued"]) for group in groups] == [
        ("", False, 8, 0),
        ("gpu", False, 0, 2),
        ("idle", True, 0, 0),
    ]
    (worker,) = (await api.get("/api/v1/workers")).json()["workers"]
    assert worker["name"] == "w1"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"key": "-gpu"}, '`key` must match "^[a-zA-Z0-9][a-zA-Z0-9_-]*$"'),
        ({"key": "a b"}, '`key` must match "^[a-zA-Z0-9][a-zA-Z0-9_-]*$"'),
        ({}, "`key` is needed"),
        ({"min": 3, "max": 2}, "`min` (3) is above `max` (2)"),
        ({"min": -1}, "`min` must be greater than or equal to 0"),
        ({"slots": 0}, "`slots` must be greater than or equal to 1"),
        ({"maxx": 2}, "a worker group has no property `maxx`; did you mean `max`?"),
        ({"reserved": [{"namespaces": ["a"], "percent": 60}, {"namespaces": ["b"], "percent": 50}]}, "`reserved` shares add up to more than 100 percent"),
        ({"reserved": {"namespaces": [], "percent": 60}}, "`reserved.0.namespaces` "),
        ({"reserved": {"namespaces": ["a"], "percent": 60, "mode": "SOFT"}}, "`reserved.0.mode` must be 'STRICT' or 'ELASTIC'"),
        ({"reserved": {"namespaces": ["a"], "percentage": 60}}, "`reserved` has no property `percentage`; did you mean `percent`?"),
        ({"idleTimeout": "a while"}, "`idleTimeout` "),
    ],
)
async def test_a_group_that_cannot_be_is_refused_with_the_property_and_why(api: httpx.AsyncClient, wrong: dict[str, Any], message: str) -> None:
    body = wrong if "key" in wrong or not wrong else {"key": "gpu", **wrong}
    answer = await api.post(GROUPS, json=body)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"Illegal argument: {message}"), answer.json()["message"]
    assert all(not group["declared"] for group in (await api.get(GROUPS)).json()["workerGroups"])


async def test_the_default_group_is_named_in_a_path_by_a_word_that_is_no_key(api: httpx.AsyncClient) -> None:
    await api.post(GROUPS, json={"key": "", "description": "all else"})
    for name in ("_default", "default"):
        assert (await api.get(f"{GROUPS}/{name}")).json()["declaration"]["description"] == "all else"
    await api.post(GROUPS, json={"key": "default", "description": "a key like any other"})
    assert (await api.get(f"{GROUPS}/default")).json()["declaration"]["description"] == "a key like any other"
    assert (await api.put(f"{GROUPS}/_default", json={"description": "changed"})).json()["key"] == ""


async def test_a_group_of_the_configuration_file_changes_only_there(site: Callable[..., Site]) -> None:
    from orchestrator.model.worker_group import WorkerGroup

    async with site(worker_groups=(WorkerGroup(key="gpu", min=1),)).client() as api:
        for answer in (await api.put(f"{GROUPS}/gpu", json={"min": 2}), await api.delete(f"{GROUPS}/gpu")):
            assert (answer.status_code, "is declared in the server's configuration file: change it there" in answer.json()["message"]) == (409, True)


@pytest.mark.parametrize(
    "place",
    [
        "        workerGroup: {key: gpu}\n",
        "    workerGroup: {key: gpu, fallback: FAIL}\n",
        "workerGroup: {key: gpu}\n",
        "        placement: [{workerGroup: cpu, wait: PT1S}, {workerGroup: gpu}]\n",
        "        placement: [{workerGroup: {key: gpu}}]\n",
        "pluginDefaults:\n  - {type: x.Y, values: {workerGroup: {key: gpu}}}\n",
        "triggers:\n  - {id: poll, type: x.P, workerGroup: {key: gpu}}\n",
    ],
)
async def test_a_group_that_a_flow_names_anywhere_is_deleted_only_by_force(api: httpx.AsyncClient, place: str) -> None:
    await api.post(GROUPS, json={"key": "gpu"})
    assert (await api.post("/api/v1/flows", content=flow(place), headers=YAML)).status_code == 200
    refused = await api.delete(f"{GROUPS}/gpu")
    assert refused.status_code == 409
    assert refused.json()["message"] == "Illegal state: worker group 'gpu' is in use by flow io.acme.user; force deletes it all the same"
    assert (await api.delete(f"{GROUPS}/gpu?force=true")).status_code == 204


async def test_a_flow_that_names_another_group_does_not_hold_one_back(api: httpx.AsyncClient) -> None:
    await api.post(GROUPS, json={"key": "gpu"})
    await api.post("/api/v1/flows", content=flow("        workerGroup: {key: gpu2}\n") + "labels: {workerGroup: gpu2, key: gpu}\n", headers=YAML)
    assert (await api.delete(f"{GROUPS}/gpu")).status_code == 204


async def test_a_group_with_workers_or_a_namespace_says_who_uses_it(open_site: Site, api: httpx.AsyncClient) -> None:
    open_site.executor.workers = [{"name": f"w{n}", "group": "gpu", "nodeId": f"n{n}", "slots": 1, "hostname": "box"} for n in range(7)]
    await api.post(GROUPS, json={"key": "gpu"})
    await api.put(DEFAULTS, json={"workerGroup": {"key": "gpu"}})
    message = (await api.delete(f"{GROUPS}/gpu")).json()["message"]
    assert "namespace io.acme, worker w0 on box" in message
    assert "and 3 more; force deletes it all the same" in message


# --- namespaces


async def test_a_namespace_says_where_its_work_goes_until_it_is_unset(api: httpx.AsyncClient) -> None:
    assert (await api.get(DEFAULTS)).json() == {}
    said = {"workerGroup": {"key": "gpu", "fallback": "IGNORE"}, "pluginDefaults": [{"type": "x", "values": {"a": 1}}]}
    assert (await api.put(DEFAULTS, json=said)).json() == said
    assert (await api.get(DEFAULTS)).json() == said
    assert (await api.get("/api/v1/main/namespaces/io/defaults")).json() == {}
    assert (await api.put(DEFAULTS, json={"workerSelector": {"tags": ["eu"]}})).json() == {"workerSelector": {"tags": ["eu"]}}
    assert (await api.put(DEFAULTS, json={"placement": [{"workerGroup": "gpu", "wait": "PT5S"}, {"taskRunner": {"type": "x"}}]})).status_code == 200
    assert (await api.put(DEFAULTS, json={"workerGroup": "gpu"})).json() == {"workerGroup": {"key": "gpu"}}
    assert (await api.put(DEFAULTS, json={"workerGroup": {"key": "{{ inputs.pool }}"}})).status_code == 200
    assert (await api.delete(DEFAULTS)).status_code == 204
    assert (await api.get(DEFAULTS)).json() == {}


async def test_what_the_configuration_file_says_of_a_namespace_holds_again_once_the_rest_is_removed(site: Callable[..., Site]) -> None:
    in_file = {"workerGroup": {"key": "of-file"}}
    async with site(namespaces={"io.acme": in_file}).client() as api:
        assert (await api.get(DEFAULTS)).json() == in_file
        await api.put(DEFAULTS, json={"workerGroup": {"key": "other"}})
        await api.delete(DEFAULTS)
        assert (await api.get(DEFAULTS)).json() == in_file


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workergroup": {"key": "gpu"}}, "a namespace's defaults has no property `workergroup`; did you mean `workerGroup`?"),
        ({"workerGroup": {"key": "gpu"}, "workerSelector": {"tags": ["a"]}}, "a namespace says in one way where work goes"),
        ({"workerGroup": {"key": "gpu", "fallback": "HOPE"}}, "`workerGroup.fallback` must be 'WAIT', 'FAIL', 'CANCEL' or 'IGNORE'"),
        ({"workerSelector": {"tags": [str(n) for n in range(21)]}}, "`workerSelector.tags` "),
        ({"placement": [{"wait": "PT1S"}]}, "`placement.0` a step names either a `workerGroup` or a `taskRunner`"),
        ({"placement": [{"workerGroup": "gpu", "wait": "soon"}]}, "`placement.0.wait` "),
        ({"pluginDefaults": {"type": "x"}}, "`pluginDefaults` is a list of `type` and `values`"),
        ({"pluginDefaults": [{"values": {}}]}, "each of `pluginDefaults` has a `type` and a map of `values`"),
        ({"pluginDefaults": [{"type": "x", "value": {}}]}, "an entry of `pluginDefaults` has no property `value`; did you mean `values`?"),
    ],
)
async def test_what_no_namespace_may_say_is_refused(api: httpx.AsyncClient, wrong: dict[str, Any], message: str) -> None:
    answer = await api.put(DEFAULTS, json=wrong)
    assert answer.status_code == 422, answer.text
    assert answer.json()["message"].startswith(f"Illegal argument: {message}"), answer.json()["message"]
    assert (await api.get(DEFAULTS)).json() == {}


async def test_a_namespace_names_declared_groups_only_once_there_are_some(api: httpx.AsyncClient) -> None:
    assert (await api.put(DEFAULTS, json={"workerGroup": {"key": "anything"}})).status_code == 200
    await api.post(GROUPS, json={"key": "gpu"})
    for said in ({"workerGroup": {"key": "gpuu"}}, {"placement": [{"workerGroup": "gpu"}, {"workerGroup": "gpuu"}]}):
        answer = await api.put(DEFAULTS, json=said)
        assert (answer.status_code, answer.json()["message"]) == (404, "Not Found: worker group 'gpuu' is not declared; did you mean 'gpu'?")
