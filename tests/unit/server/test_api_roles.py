"""What each kind of token opens: the table of every route, held against what each role may do, and every token that must not join."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_site import FLOW, YAML, Site

from orchestrator.model.access_token import Role
from orchestrator.model.node_token import NodeTokens
from orchestrator.server.app import ROUTERS
from orchestrator.server.roles import may
from orchestrator.server.tally import Tally

pytestmark = pytest.mark.anyio
VERSIONS = {"orchestrator": "0.1.7", "ray": "2.51.0", "python": "3.11.4"}
MARK = "0123456789abcdef"
NODES = NodeTokens(b"k" * 32)

ONLY = {
    Role.JOIN: {"POST /api/v1/cluster/join"},
    Role.NODE: {"GET /api/v1/cluster/joined/{mark}", "POST /api/v1/cluster/joined/{mark}/drain"},
}
# Looks that a view token is refused: they show what people keep, or what opens things.
HIDDEN = {
    "GET /api/v1/cluster",
    "GET /api/v1/cluster/joined/{mark}",
    "GET /api/v1/tokens",
    "GET /api/v1/kv",
    "GET /api/v1/namespaces/{namespace}/kv",
    "GET /api/v1/namespaces/{namespace}/kv/inheritance",
    "GET /api/v1/namespaces/{namespace}/kv/{key}",
    "GET /api/v1/namespaces/{namespace}/defaults",
    "GET /api/v1/namespaces/{namespace}/files",
    "GET /api/v1/namespaces/{namespace}/files/directory",
    "GET /api/v1/namespaces/{namespace}/files/stats",
    "GET /api/v1/namespaces/{namespace}/files/search",
    "GET /api/v1/namespaces/{namespace}/files/revisions",
    "GET /api/v1/namespaces/{namespace}/files/export",
    "GET /api/v1/executions/{execution_id}/file",
    "GET /api/v1/executions/{execution_id}/file/metas",
    "GET /api/v1/executions/webhook/{namespace}/{flow_id}/{key}",
    "GET /api/v1/executions/webhook/{namespace}/{flow_id}/{key}/{path:path}",
}


def routes() -> Iterator[tuple[str, str]]:
    """(method, path as it is routed by) of everything the server answers, but the runs' own and /health."""
    for router in ROUTERS:
        for route in router.routes:
            for method in sorted(route.methods):  # type: ignore[attr-defined]
                path = str(route.path)  # type: ignore[attr-defined]
                if not path.startswith("/api/v1/internal/") and path != "/health":
                    yield method, path


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "some.thing", path)


async def minted(site: Site, **asked: Any) -> tuple[str, dict[str, Any]]:
    async with site.client(Authorization="Bearer secret") as api:
        answer = await api.post("/api/v1/tokens", json={"name": "box", **asked})
        assert answer.status_code == 200, answer.text
        return answer.json()["token"], answer.json()["details"]


async def joined(site: Site, token: str | None, group: str = "gpu", **more: Any) -> httpx.Response:
    async with site.client(**({"Authorization": f"Bearer {token}"} if token else {})) as api:
        return await api.post("/api/v1/cluster/join", json={"group": group, "slots": 2, "versions": VERSIONS, **more})


# --- the table


@pytest.mark.parametrize("role", ONLY)
def test_a_join_token_only_joins_and_a_joined_machines_own_only_looks_after_its_worker(role: Role) -> None:
    allowed = {f"{method} {path}" for method, path in routes() if may(role, method, filled(path))}
    assert allowed == ONLY[role]


def test_a_view_token_may_look_at_all_but_what_is_hidden_and_change_nothing() -> None:
    everything = list(routes())
    looks = {f"{method} {path}" for method, path in everything if method == "GET"}
    allowed = {f"{method} {path}" for method, path in everything if may(Role.VIEW, method, filled(path))}
    assert looks >= HIDDEN
    assert {path for path in looks - allowed if "/internal/" not in path} == HIDDEN
    assert {path for path in allowed if not path.startswith("GET ")} == set()


@pytest.mark.parametrize("role", [Role.JOIN, Role.NODE, Role.VIEW])
def test_nothing_is_allowed_that_nobody_thought_of(role: Role) -> None:
    for path in ("/", "/api", "/api/v1", "/api/v1/new", "/api/v2/flows", "/api/v1/cluster/rotate-token", "/api/v1/internal/runs/x/secret", "/api/v1//flows"):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert not may(role, method, path), (method, path)


def test_a_webhook_is_no_look_though_it_is_called_by_a_get() -> None:
    for path in ("/api/v1/executions/webhook/ns/flow/key", "/api/v1/executions/webhook", "/api/v1/executions/webhook/flow"):
        assert not may(Role.VIEW, "GET", path)


async def test_the_door_holds_every_route_against_the_table(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    tokens = {Role.JOIN: (await minted(made, role="join"))[0], Role.VIEW: (await minted(made, role="view"))[0], Role.NODE: NODES.mint("some.thing")}
    for role, token in tokens.items():
        async with made.client(Authorization=f"Bearer {token}") as api:
            for method, path in routes():
                if not may(role, method, filled(path)):
                    for url in (filled(path), filled(path).replace("/api/v1/", "/api/v1/main/", 1)):
                        answer = await api.request(method, url)
                        assert answer.status_code == 403, (role, method, url)
                        assert answer.json()["message"].startswith(f"Forbidden: this is a {role} token: it ")


async def test_a_join_token_reads_no_flow_no_execution_no_log_and_mints_nothing(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    async with made.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/flows", content=FLOW, headers=YAML)
        id = (await api.post("/api/v1/executions/io.acme/hello")).json()["id"]
    token, _ = await minted(made, role="join")
    async with made.client(Authorization=f"Bearer {token}") as api:
        for path in ("flows/search", "flows/io.acme/hello", f"executions/{id}", f"logs/{id}", "workers", "worker-groups", "tokens", "namespaces/io.acme/kv"):
            assert (await api.get(f"/api/v1/{path}")).status_code == 403
        assert (await api.post("/api/v1/tokens", json={"role": "join", "name": "more"})).status_code == 403


async def test_a_view_token_looks_and_changes_nothing(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    token, _ = await minted(made, role="view")
    async with made.client(Authorization=f"Bearer {token}") as api:
        assert (await api.get("/api/v1/main/flows/search")).status_code == 200
        assert (await api.get("/api/v1/worker-groups")).status_code == 200
        assert (await api.post("/api/v1/flows", content=FLOW, headers=YAML)).status_code == 403
        assert (await api.post("/api/v1/workers/w1/drain")).status_code == 403


async def test_a_joined_machines_token_opens_its_own_node_only(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    answer = (await joined(made, (await minted(made, role="join"))[0])).json()
    assert NODES.mark_of(answer["node_token"]) == answer["mark"]
    async with made.client(Authorization=f"Bearer {answer['node_token']}") as api:
        assert (await api.get(f"/api/v1/cluster/joined/{answer['mark']}")).json()["session"] == "s1"
        for path in (f"joined/{MARK}", f"joined/{MARK}{answer['mark']}", f"joined/{answer['mark']}x"):
            assert (await api.get(f"/api/v1/cluster/{path}")).status_code == 403
        assert (await api.post(f"/api/v1/cluster/joined/{MARK}/drain")).status_code == 403
        assert (await api.post("/api/v1/cluster/join", json={})).status_code == 403
    for forged in (f"node.{MARK}.x", f"node.{MARK}", "node.", f"node.{MARK}.{answer['node_token'].rpartition('.')[2]}", NodeTokens(b"other" * 8).mint(MARK)):
        async with made.client(Authorization=f"Bearer {forged}") as api:
            assert (await api.get(f"/api/v1/cluster/joined/{MARK}")).status_code == 401
    assert made.tokens.execution_of(answer["node_token"]) is None
    assert NODES.mark_of(made.tokens.mint(MARK, datetime.now(UTC) + timedelta(hours=1))) is None


# --- tokens that must not join


async def test_a_token_of_another_kind_or_time_does_not_join(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    async with made.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/flows", content=FLOW, headers=YAML)
        id = (await api.post("/api/v1/executions/io.acme/hello")).json()["id"]
    of_run = made.tokens.mint(id, datetime.now(UTC) + timedelta(hours=1))
    view, _ = await minted(made, role="view")
    other, _ = await minted(made, role="join", group="cpu")
    good, about = await minted(made, role="join", group="gpu")
    old, aged = await minted(made, role="join", expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    made.executor.desks.later = timedelta(hours=2)  # the executor counts, and judges once more
    refusals = {
        of_run: (401, "this is the token of a run: it opens what belongs to its execution, and nothing else"),
        view: (403, "Forbidden: this is a view token: it looks at flows, executions, logs and workers, and may do nothing else"),
        other: (403, "Forbidden: this token (box) joins machines to worker group 'cpu', not to worker group 'gpu'"),
        good[:-1] + ("A" if good[-1] != "A" else "B"): (401, "there is no such token"),
        "orj_0123456789ab_" + "x" * 43: (401, "there is no such token"),
        NODES.mint(MARK): (403, "Forbidden: this is a node token: it looks after the worker of its own node, and may do nothing else"),
        "not-the-token": (401, "a token is needed, or this is not the right one"),
        old: (403, "Forbidden: this token (box) has expired"),
    }
    for token, (status, message) in refusals.items():
        answer = await joined(made, token)
        assert (answer.status_code, answer.json()["message"]) == (status, message)
        assert "rt" not in answer.json().values()
    assert (await joined(made, None)).status_code == 401
    assert (await joined(made, good)).json()["ray_token"] == "rt"
    async with made.client(Authorization="Bearer secret") as api:
        assert (await api.post(f"/api/v1/tokens/{about['uid'][:6]}/revoke")).json()["valid"] is False
        assert (await joined(made, good)).json()["message"] == "this token (box) has been revoked"
        assert (await api.delete(f"/api/v1/tokens/{aged['uid']}")).status_code == 204
        assert (await joined(made, old)).json()["message"] == "there is no such token"


async def test_an_expired_token_is_refused_at_the_door(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    made = site(api_token="secret")
    token, about = await minted(made, role="view")
    stored = made.executor.store.setting(f"token:{about['uid']}")
    await made.executor.desks.do(lambda turn: turn.settings.update({f"token:{about['uid']}": {**stored, "expiresAt": "2020-01-01T00:00:00Z"}}))
    async with made.client(Authorization=f"Bearer {token}") as api:
        answer = await api.get("/api/v1/flows/search")
    assert (answer.status_code, answer.json()["message"]) == (401, "this token (box) has expired")


async def test_a_minted_token_is_judged_by_its_role_also_where_none_is_needed(site: Callable[..., Site]) -> None:
    made = site()
    async with made.client() as api:
        answer = (await api.post("/api/v1/tokens", json={"role": "join", "group": "gpu", "name": "box"})).json()
        assert (await joined(made, answer["token"], "cpu")).status_code == 403
        assert (await joined(made, answer["token"], "gpu")).status_code == 200
        assert (await api.post(f"/api/v1/tokens/{answer['details']['uid']}/revoke")).status_code == 200
        assert (await joined(made, answer["token"], "gpu")).status_code == 401
        assert (await joined(made, None, "gpu")).status_code == 200


# --- minting


async def test_a_tokens_text_is_told_once_and_only_a_digest_is_kept(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    token, about = await minted(made, role="join", group="gpu", description="the box in the corner")
    secret = token.rpartition("_")[2] if token.count("_") == 2 else token[len(about["tokenPrefix"]) + 1 :]
    assert len(secret) == 43
    assert secret not in str(made.executor.store.settings(""))
    assert not any(secret in str(body) for _, body in made.executor.asked)
    async with made.client(Authorization="Bearer secret") as api:
        listed = (await api.get("/api/v1/tokens")).json()["tokens"]
    assert [one["uid"] for one in listed] == [about["uid"]]
    assert "digest" not in listed[0]
    assert secret not in str(listed)


async def test_every_join_is_counted(site: Callable[..., Site]) -> None:
    made = site(api_token="secret")
    token, _ = await minted(made, role="join")
    for _ in range(3):
        await joined(made, token)
    async with made.client(Authorization="Bearer secret") as api:
        (told,) = (await api.get("/api/v1/tokens")).json()["tokens"]
    assert (told["useCount"], "lastUsedAt" in told) == (3, True)


async def test_looks_are_counted_together_and_passed_on() -> None:
    import asyncio

    passed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def take(uses: Any) -> None:
        passed.set_result(dict(uses))

    tally = Tally(take, after=0.0)
    for uid in ("a", "b", "a"):
        tally.count(uid)
    assert await asyncio.wait_for(passed, 10) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"role": "admin"}, "`role` is one of join, view"),
        ({}, "`role` is one of join, view"),
        ({"role": "view", "group": "gpu"}, "only a join token is for a worker group"),
        ({"role": "join", "expiresAt": "2020-01-01T00:00:00Z"}, "`expiresAt` has passed already"),
        ({"role": "join", "expiresAt": "2040-01-01T00:00:00"}, "`expiresAt` is an ISO-8601 date-time with a zone"),
        ({"role": "join", "expiresAt": "soon"}, "`expiresAt` "),
        ({"role": "join", "grup": "gpu"}, "a token has no property `grup`; did you mean `group`?"),
        ({"role": "join", "group": 5}, "`group` is a worker group's key"),
        ({"role": "join", "name": ""}, "`name` "),
    ],
)
async def test_a_token_that_cannot_be_is_refused_clearly(api: httpx.AsyncClient, asked: dict[str, Any], message: str) -> None:
    answer = await api.post("/api/v1/tokens", json={"name": "box", **asked})
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"Illegal argument: {message}"), answer.json()["message"]


async def test_a_token_is_for_a_group_that_work_may_name(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/worker-groups", json={"key": "gpu"})
    answer = await api.post("/api/v1/tokens", json={"role": "join", "name": "box", "group": "gup"})
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found: worker group 'gup' is not declared; did you mean 'gpu'?")
    of_default = await api.post("/api/v1/tokens", json={"role": "join", "name": "box", "group": "_default"})
    assert of_default.json()["details"]["group"] == ""


async def test_a_token_is_found_by_its_name_or_any_unique_beginning(api: httpx.AsyncClient) -> None:
    uids = [(await api.post("/api/v1/tokens", json={"role": "join", "name": name})).json()["details"]["uid"] for name in ("one", "two", "two")]
    assert (await api.post("/api/v1/tokens/one/revoke")).json()["uid"] == uids[0]
    several = await api.post("/api/v1/tokens/two/revoke")
    assert (several.status_code, "several tokens are meant by `two`" in several.json()["message"]) == (422, True)
    assert (await api.post(f"/api/v1/tokens/orj_{uids[1][:11]}/revoke")).json()["uid"] == uids[1]
    assert (await api.delete("/api/v1/tokens/nothing")).status_code == 404
