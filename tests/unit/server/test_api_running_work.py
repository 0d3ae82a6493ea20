"""What running work changes and asks about: its files, those of namespaces, keys that may not be overwritten, logs and counts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from api_site import FLOW, YAML, Site

from orchestrator.model import internal_paths as paths

pytestmark = pytest.mark.anyio
NAMESPACE = "io.acme"


@pytest.fixture
async def run(site: Callable[..., Site]) -> AsyncIterator[tuple[Site, str, httpx.AsyncClient]]:
    made = site(api_token="secret")
    async with made.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/flows", content=FLOW, headers=YAML)
        id = (await api.post("/api/v1/executions/io.acme/hello")).json()["id"]
    async with made.client(Authorization=f"Bearer {made.tokens.mint(id, datetime.now(UTC) + timedelta(hours=1))}") as api:
        yield made, id, api


async def test_a_run_deletes_its_own_files_and_no_others(run: tuple[Site, str, httpx.AsyncClient]) -> None:
    _, id, api = run
    files = paths.at(paths.FILES, execution_id=id)
    uri = (await api.put(files, params={"name": "a.txt"}, content=b"x")).json()["uri"]
    assert (await api.delete(files, params={"uri": uri.replace(id, "other")})).status_code == 403
    assert [(await api.delete(files, params={"uri": uri})).json() for _ in range(2)] == [{"deleted": True}, {"deleted": False}]
    assert (await api.get(files, params={"uri": uri})).status_code == 404


async def test_a_run_purges_all_files_of_its_execution(run: tuple[Site, str, httpx.AsyncClient]) -> None:
    _, id, api = run
    files = paths.at(paths.FILES, execution_id=id)
    uris = {(await api.put(files, params={"name": name}, content=b"x")).json()["uri"] for name in ("a", "b")}
    assert set((await api.post(paths.at(paths.FILES_PURGE, execution_id=id))).json()["uris"]) == uris
    assert (await api.post(paths.at(paths.FILES_PURGE, execution_id=id))).json() == {"uris": []}


async def test_a_run_writes_and_deletes_namespace_files(run: tuple[Site, str, httpx.AsyncClient]) -> None:
    _, id, api = run
    content = paths.at(paths.NAMESPACE_FILE, execution_id=id, namespace=NAMESPACE)
    for text in (b"one", b"two"):
        assert (await api.put(content, params={"path": "/d/a.txt"}, content=text)).status_code == 204
    assert (await api.get(content, params={"path": "/d/a.txt"})).content == b"two"
    assert (await api.put(content, params={"path": "/../a.txt"}, content=b"x")).status_code == 422
    assert (await api.put(content, params={"path": "/_flows/a.yml"}, content=b"x")).status_code == 422
    assert [(await api.delete(content, params={"path": "/d/a.txt"})).json() for _ in range(2)] == [{"deleted": True}, {"deleted": False}]
    assert (await api.get(paths.at(paths.NAMESPACE_FILES, execution_id=id, namespace=NAMESPACE))).json() == []


@pytest.mark.parametrize(("namespace", "status"), [("io.acme", 204), ("io", 204), ("not-found", 404), ("io.acme.below", 404)])
async def test_a_key_is_kept_only_in_a_namespace_that_exists(run: tuple[Site, str, httpx.AsyncClient], namespace: str, status: int) -> None:
    _, id, api = run
    answer = await api.put(paths.at(paths.KEY, execution_id=id, namespace=namespace, key="k"), json={"value": 1})
    assert answer.status_code == status
    assert status == 204 or f"The namespace '{namespace}' does not exist" in answer.json()["message"]


async def test_whether_a_key_may_be_overwritten_is_for_the_executor_to_keep(run: tuple[Site, str, httpx.AsyncClient]) -> None:
    site, id, api = run
    await api.put(paths.at(paths.KEY, execution_id=id, namespace=NAMESPACE, key="k"), json={"value": 1, "overwrite": False, "description": "d"})
    asked = site.executor.asked[-1][1]
    assert (asked["overwrite"], asked["description"]) == (False, "d")


async def test_logs_are_sent_line_by_line_from_a_level_up(run: tuple[Site, str, httpx.AsyncClient]) -> None:
    site, id, api = run
    site.executor.say(id, *(f"INFO {number}" for number in range(1500)), "DEBUG no")
    place = paths.at(paths.LOGS, execution_id=id)
    lines = [json.loads(line) for line in (await api.get(place, params={"execution": id, "minLevel": "INFO"})).text.splitlines()]
    assert [line["message"] for line in lines] == [f"INFO {number}" for number in range(1500)]
    assert (await api.get(place, params={"execution": id, "task": ["other"]})).text == ""
    assert (await api.get(place, params={"execution": "none"})).status_code == 404


async def test_executions_are_counted_by_flow_state_and_date(run: tuple[Site, str, httpx.AsyncClient]) -> None:
    _, id, api = run
    place = paths.at(paths.COUNT, execution_id=id)

    async def count(**params: str | list[str]) -> int:
        return int((await api.get(place, params=params)).json()["count"])

    assert await count(namespace=NAMESPACE, flowId="hello") == 1
    assert await count(namespace="io") == 1
    assert await count(namespace="io", flowId="hello") == 0
    assert await count(namespace=NAMESPACE, state=["CREATED", "KILLED"]) == 1
    assert await count(namespace=NAMESPACE, state="KILLED") == 0
    assert await count(namespace=NAMESPACE, startDate="2999-01-01T00:00:00Z") == 0
    assert await count(namespace=NAMESPACE, endDate="2999-01-01T00:00:00Z") == 1
