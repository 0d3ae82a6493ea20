"""How a machine joins over HTTP, learns how its worker fares, and is drained."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from api_site import Site

from orchestrator.model.node_token import NodeTokens

pytestmark = pytest.mark.anyio
VERSIONS = {"orchestrator": "0.1.7", "ray": "2.51.0", "python": "3.11.4"}
MARK, OTHER = "0123456789abcdef", "fedcba9876543210"
JOIN = "/api/v1/cluster/join"


def worker(name: str, group: str, node: str, mark: str | None = None, **more: Any) -> dict[str, Any]:
    labels = {"ray.io/node-id": node, "zone": "eu", **({"orchestrator-node": mark} if mark else {})}
    return {"name": name, "group": group, "nodeId": node, "hostname": f"box-{name}", "slots": 4, "state": "up", "labels": labels, **more}


@pytest.fixture
async def guarded(site: Callable[..., Site]) -> Site:
    made = site(api_token="secret")
    made.executor.workers = [worker("w1", "gpu", "aa11bb22cc33dd44", MARK), worker("w2", "cpu", "aa99bb22cc33dd44", OTHER)]
    return made


def asked(**more: Any) -> dict[str, Any]:
    return {"group": "gpu", "slots": 2, "labels": {}, "versions": VERSIONS, **more}


async def test_a_machine_joins_only_with_versions_that_fit(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        told = (await api.post(JOIN, json=asked())).json()
        assert (told["ray_token"], told["session"], told["address"]) == ("rt", "s1", "127.0.0.1:6379")
        for name, other in (("ray", "2.9.0"), ("python", "3.11.5"), ("orchestrator", "0.2.0")):
            differs = await api.post(JOIN, json=asked(versions={**VERSIONS, name: other}))
            assert differs.status_code == 409
            assert f"this machine cannot join: {name} {other} (the server has " in differs.json()["message"]
            assert "rt" not in differs.json().values()
        untold = await api.post(JOIN, json=asked(versions={"ray": "2.51.0"}))
        assert (untold.status_code, "names those of orchestrator, ray and python" in untold.json()["message"]) == (422, True)


async def test_without_a_token_only_this_machine_joins(site: Callable[..., Site]) -> None:
    made = site()
    for peer, status in (("127.0.0.1", 200), ("::1", 200), ("192.0.2.7", 403)):
        transport = httpx.ASGITransport(made.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            assert (await api.post(JOIN, json=asked())).status_code == status


async def test_an_unknown_group_is_joined_only_while_none_is_declared(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        assert (await api.post(JOIN, json=asked(group="any-at-all"))).status_code == 200
        await api.post("/api/v1/worker-groups", json={"key": "gpu"})
        unknown = await api.post(JOIN, json=asked(group="gpuu"))
        assert unknown.status_code == 404
        assert unknown.json()["message"] == (
            "Not Found: worker group 'gpuu' is not declared; did you mean 'gpu'? Declare it with `orchestrator worker-group create gpuu`, or join with --create"
        )
        assert (await api.post(JOIN, json=asked(group="gpu"))).status_code == 200
        assert (await api.post(JOIN, json=asked(group=""))).status_code == 200


async def test_the_administrator_may_declare_the_group_while_joining_it_and_nobody_else(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        token = (await api.post("/api/v1/tokens", json={"role": "join", "name": "box"})).json()["token"]
        await api.post("/api/v1/worker-groups", json={"key": "cpu"})
        assert (await api.post(JOIN, json=asked(create=True))).status_code == 200
        assert (await api.get("/api/v1/worker-groups/gpu")).json()["declared"] is True
        again = (await api.get("/api/v1/worker-groups/gpu")).json()["declaration"]
        assert (await api.post(JOIN, json=asked(create=True))).status_code == 200
        assert (await api.get("/api/v1/worker-groups/gpu")).json()["declaration"] == again
    async with guarded.client(Authorization=f"Bearer {token}") as api:
        refused = await api.post(JOIN, json=asked(group="new", create=True))
    assert (refused.status_code, "only the administrator's token declares a worker group" in refused.json()["message"]) == (403, True)


@pytest.mark.parametrize("wrong", [{"group": "a b"}, {"group": "-a"}, {"group": 5}, {"slots": 0}, {"slots": True}, {"slots": "2"}, {"labels": ["a"]}])
async def test_what_no_machine_could_mean_is_refused(guarded: Site, wrong: dict[str, Any]) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        assert (await api.post(JOIN, json=asked(**wrong))).status_code == 422


# --- a joined machine's own worker


async def test_a_joined_machine_sees_and_drains_the_worker_of_its_own_node(guarded: Site) -> None:
    async with guarded.client(Authorization=f"Bearer {NodeTokens(b'k' * 32).mint('nobody')}") as api:
        assert (await api.get("/api/v1/cluster/joined/nobody")).json() == {"session": "s1", "worker": None, "drain": None, "ask_again": 2.0}
        assert (await api.post("/api/v1/cluster/joined/nobody/drain")).status_code == 404
    async with guarded.client(Authorization=f"Bearer {NodeTokens(b'k' * 32).mint(MARK)}") as api:
        fares = (await api.get(f"/api/v1/cluster/joined/{MARK}")).json()
        assert (fares["session"], fares["worker"]["name"], fares["drain"]) == ("s1", "w1", None)
        assert (await api.post(f"/api/v1/cluster/joined/{OTHER}/drain")).status_code == 403
        assert (await api.post(f"/api/v1/cluster/joined/{MARK}/drain", json={"grace": "PT1M"})).json()["state"] == "draining"
        drain = (await api.get(f"/api/v1/cluster/joined/{MARK}")).json()["drain"]
    assert drain["over"] is True
    assert guarded.executor.desks.machines.drained == ["w1"]


async def test_what_marks_a_node_is_shown_to_nobody(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        for path in ("workers", "workers/w1", "worker-groups", "worker-groups/gpu", "instance/worker-groups", "worker-selectors/tags"):
            assert MARK not in (await api.get(f"/api/v1/{path}")).text
        assert (await api.get("/api/v1/workers/w1")).json()["labels"] == {"zone": "eu"}


# --- draining from afar


async def test_a_worker_is_drained_by_any_unique_beginning_of_its_id_its_name_or_its_machines(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        several = await api.post("/api/v1/workers/aa/drain")
        assert (several.status_code, "several workers begin with `aa`" in several.json()["message"]) == (422, True)
        assert (await api.post("/api/v1/workers/nothing/drain")).status_code == 404
        for name in ("aa11", "w1", "box-w1"):
            assert (await api.post(f"/api/v1/workers/{name}/drain", json={"grace": "PT1M"})).json()["id"] == "aa11bb22cc33"
        listed = {one["name"]: one["state"] for one in (await api.get("/api/v1/workers")).json()["workers"]}
    assert listed == {"w1": "draining", "w2": "up"}


@pytest.mark.parametrize("body", [{"grace": "soon"}, {"grace": "-PT5S"}, {"grase": "PT5S"}, {"grace": None}])
async def test_a_grace_that_is_none_is_refused(guarded: Site, body: dict[str, Any]) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        answer = await api.post("/api/v1/workers/w1/drain", json=body)
    assert (answer.status_code, guarded.executor.desks.machines.drained) == (422, [])


async def test_of_two_drains_the_earlier_deadline_holds(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        first = (await api.post("/api/v1/workers/w1/drain", json={"grace": "PT5M"})).json()["drain"]
        sooner = (await api.post("/api/v1/workers/w1/drain", json={"grace": "PT1M"})).json()["drain"]
        later = (await api.post("/api/v1/workers/w1/drain", json={"grace": "PT1H"})).json()["drain"]
    assert first["asked"] == sooner["asked"] == later["asked"]
    assert sooner["deadline"] == later["deadline"] < first["deadline"]


async def test_a_lost_worker_stays_listed_until_its_machine_is_back_or_an_hour_has_passed(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:

        async def states() -> dict[str, str]:
            return {one["name"]: one["state"] for one in (await api.get("/api/v1/workers")).json()["workers"]}

        assert await states() == {"w1": "up", "w2": "up"}
        first, second = guarded.executor.workers
        guarded.executor.workers = []
        assert await states() == {"w1": "lost", "w2": "lost"}
        assert (await api.get("/api/v1/workers/w2")).json()["state"] == "lost"
        guarded.executor.workers = [{**second, "name": "w3", "nodeId": "ee"}]
        assert await states() == {"w3": "up", "w1": "lost"}
        guarded.executor.desks.later = timedelta(minutes=61)
        assert await states() == {"w3": "up"}
        assert first["name"] == "w1"


async def test_a_drained_worker_that_has_left_is_not_lost(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/workers/w1/drain")
        guarded.executor.workers = guarded.executor.workers[1:]
        assert [one["name"] for one in (await api.get("/api/v1/workers")).json()["workers"]] == ["w2"]
        assert (await api.get("/api/v1/workers/w1")).status_code == 404


async def test_the_cluster_is_told_without_what_opens_it(guarded: Site) -> None:
    async with guarded.client(Authorization="Bearer secret") as api:
        told = (await api.get("/api/v1/cluster")).json()
    assert (told["session"], "ray_token" in told, "rt" in told.values()) == ("s1", False, False)


async def test_a_cluster_of_somebody_elses_or_without_a_launcher_gets_no_new_token(site: Callable[..., Site], tmp_path: Any) -> None:
    for settings, status, why in (
        ({"ray_address": "10.0.0.5:6379"}, 422, "this server runs on a Ray cluster that it did not start (10.0.0.5:6379)"),
        ({"data": str(tmp_path)}, 409, "nobody watches this cluster"),
    ):
        async with site(**settings).client() as api:
            answer = await api.post("/api/v1/cluster/rotate-token")
        assert answer.status_code == status
        assert why in answer.json()["message"]
    assert not (tmp_path / "rotate-token").exists()
