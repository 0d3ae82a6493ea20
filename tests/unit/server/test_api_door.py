from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_site import FLOW, YAML, Site

from orchestrator.model import internal_paths as paths
from orchestrator.model.run_token import RunTokens

pytestmark = pytest.mark.anyio
KEY = base64.b64encode(b"k" * 32).decode()


def later(hours: int = 1) -> datetime:
    return datetime.now(UTC) + timedelta(hours=hours)


async def test_a_token_guards_everything_but_health(site: Callable[..., Site]) -> None:
    guarded = site(api_token="secret")
    basic = base64.b64encode(b"anyone:secret").decode()
    async with guarded.client() as api:
        wrongs: tuple[dict[str, Any], ...] = (
            {},
            {"Authorization": "Bearer other"},
            {"Authorization": "Basic !!!"},
            {"Authorization": "secret"},
            {"Authorization": "Bearer sécret".encode()},
        )
        for wrong in wrongs:
            answer = await api.get("/api/v1/flows/search", headers=wrong)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
        assert (await api.get("/nothing")).status_code == 401
        assert (await api.get("/health")).status_code == 200
        assert (await api.get("/health/")).status_code == 200
        for right in ("Bearer secret", f"Basic {basic}", "bearer secret"):
            assert (await api.get("/api/v1/flows/search", headers={"Authorization": right, "Host": "any.name"})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://localhost:3000"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Host": "evil.example:8080"}, False),
        ({"Host": "[::1]:8080"}, True),
        ({"Host": "localhost"}, True),
    ],
)
async def test_without_a_token_other_sites_may_change_nothing(api: httpx.AsyncClient, headers: dict[str, str], allowed: bool) -> None:
    answer = await api.post("/api/v1/flows", content=FLOW, headers={**YAML, **headers})
    assert answer.status_code == (200 if allowed else 403)


async def test_a_name_made_to_resolve_to_this_machine_may_not_even_read(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/v1/flows/search", headers={"Host": "evil.example"})).status_code == 403


def test_a_run_token_opens_its_execution_until_it_expires() -> None:
    tokens = RunTokens(b"s" * 32)
    token = tokens.mint("abc.def", later())
    assert tokens.execution_of(token) == "abc.def"
    assert tokens.execution_of(token, later(2)) is None
    assert tokens.execution_of(token.replace("abc", "abd")) is None
    assert RunTokens(b"t" * 32).execution_of(token) is None
    for nonsense in ("", ".", "run.a.1", "a.b.c.d", "é.é"):
        assert tokens.execution_of(nonsense) is None


@pytest.fixture
async def run(site: Callable[..., Site]) -> tuple[Site, str]:
    made = site(api_token="secret", encryption_secret_key=KEY, secrets={"DB": base64.b64encode(b"pw").decode(), "BAD": "%%"})
    async with made.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/flows", content=FLOW, headers=YAML)
        return made, (await api.post("/api/v1/executions/io.acme/hello")).json()["id"]


async def test_a_run_token_opens_only_its_own_execution(run: tuple[Site, str]) -> None:
    site, id = run
    async with site.client(Authorization=f"Bearer {site.tokens.mint(id, later())}") as api:
        assert (await api.get(paths.at(paths.OUTPUTS, execution_id=id, task_id="t"))).json() == {"value": "t"}
        assert (await api.get(paths.at(paths.OUTPUTS, execution_id="other", task_id="t"))).status_code == 403
        assert (await api.get(f"/api/v1/executions/{id}")).status_code == 401
        assert (await api.get("/api/v1/main/internal/runs/other/error-logs")).status_code == 403
    async with site.client(Authorization="Bearer secret") as api:
        assert (await api.get(paths.at(paths.ERROR_LOGS, execution_id=id))).status_code == 401


async def test_running_work_seals_opens_and_reads_secrets(run: tuple[Site, str]) -> None:
    site, id = run
    async with site.client(Authorization=f"Bearer {site.tokens.mint(id, later())}") as api:
        sealed = (await api.post(paths.at(paths.SEAL, execution_id=id), json={"text": "hush"})).json()["sealed"]
        assert "hush" not in str(sealed)
        assert (await api.post(paths.at(paths.OPEN, execution_id=id), json={"sealed": [sealed, {"a": sealed}]})).json() == {"values": ["hush", {"a": "hush"}]}
        secret = paths.at(paths.SECRET, execution_id=id)
        assert (await api.get(secret, params={"key": "db"})).json() == {"value": "pw"}
        missing = await api.get(secret, params={"key": "none"})
        assert (missing.status_code, missing.json()["message"]) == (404, "Not Found: Cannot find secret for key 'none'.")
        assert (await api.get(secret, params={"key": "BAD"})).status_code == 422
        site.executor.say(id, "INFO fine", "ERROR broken")
        assert [(line["taskId"], line["message"]) for line in (await api.get(paths.at(paths.ERROR_LOGS, execution_id=id))).json()] == [("t", "ERROR broken")]


async def test_running_work_keeps_and_fetches_files_and_keys(run: tuple[Site, str]) -> None:
    site, id = run
    files = paths.at(paths.FILES, execution_id=id)
    async with site.client(Authorization=f"Bearer {site.tokens.mint(id, later())}") as api:
        content = b"y" * 200_000
        uris = [(await api.put(files, params={"name": "../out.csv", "task": "t", "taskRun": "r1"}, content=content)).json()["uri"] for _ in range(2)]
        assert uris[0] != uris[1]
        assert uris[0].startswith(f"kestra:///io/acme/hello/executions/{id}/tasks/t/r1/")
        assert uris[0].endswith("/out.csv")
        assert (await api.get(files, params={"uri": uris[0]})).content == content
        assert (await api.get(paths.at(paths.FILE_SIZE, execution_id=id), params={"uri": uris[0]})).json() == {"size": 200_000}
        assert (await api.get(files, params={"uri": uris[0].replace(id, "other")})).status_code == 403
        assert (await api.get(files, params={"uri": "kestra:///x"})).status_code == 422
        key = paths.at(paths.KEY, execution_id=id, namespace="io.acme", key="k")
        assert (await api.put(key, json={"value": {"a": 1}, "ttl": 60})).status_code == 204
        assert (await api.get(key)).json() == {"value": {"a": 1}}
        assert (await api.get(paths.at(paths.KEYS, execution_id=id, namespace="io.acme"))).json() == ["k"]
        assert (await api.delete(key)).json() == {"deleted": True}
        assert (await api.get(key)).status_code == 404


async def test_running_work_reads_namespace_files(run: tuple[Site, str]) -> None:
    site, id = run
    async with site.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/namespaces/io.acme/files", params={"path": "/d/a.py"}, files={"fileContent": ("file", b"print()")})
    async with site.client(Authorization=f"Bearer {site.tokens.mint(id, later())}") as api:
        assert (await api.get(paths.at(paths.NAMESPACE_FILES, execution_id=id, namespace="io.acme"))).json() == ["/d/a.py"]
        assert (await api.get(paths.at(paths.NAMESPACE_FILE, execution_id=id, namespace="io.acme"), params={"path": "d/a.py"})).content == b"print()"
