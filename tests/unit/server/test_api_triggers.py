"""The API of triggers over a real executor, and what an evaluation may reach with its token."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_site import FLOW, YAML, Site

from orchestrator.model import internal_paths as paths
from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.runtime.client import ExecutorClient
from orchestrator.server.app import create_app
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from tests.unit.runtime.executor_house import house

pytestmark = pytest.mark.anyio
SOURCE = """id: watch
namespace: io.acme
tasks:
  - {id: a, type: io.kestra.plugin.core.debug.Return}
triggers:
  - {id: far, type: io.kestra.plugin.core.http.Trigger, uri: 'http://127.0.0.1:9/', interval: PT1H, workerGroup: {key: nowhere}}
  - {id: dated, type: io.kestra.plugin.core.trigger.Schedule, cron: "0 0 1 1 *"}
  - {id: called, type: io.kestra.plugin.core.trigger.Webhook, key: k}
"""
FAR: dict[str, Any] = {"namespace": "io.acme", "flowId": "watch", "triggerId": "far"}
DATED = {**FAR, "triggerId": "dated"}


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with house(tmp_path) as own:
        store = own.parts.executor.store
        app = create_app(
            executor=ExecutorClient(own.parts.intake.call),
            reader=store,
            settings=Settings(),
            blobs=Blobs(tmp_path / "blobs"),
            run_tokens=RunTokens(b"k" * 32),
            node_tokens=NodeTokens(b"k" * 32),
        )
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080") as client:
            assert (await client.post("/api/v1/flows", content=SOURCE, headers=YAML)).status_code == 200
            yield client


async def test_all_triggers_show_as_soon_as_their_flow_is_saved(real: httpx.AsyncClient) -> None:
    found = (await real.get("/api/v1/triggers/search", params={"q": "watch"})).json()
    assert (found["total"], [one["state"]["triggerId"] for one in found["results"]]) == (3, ["called", "dated", "far"])
    far, dated = found["results"][2], found["results"][1]["state"]
    assert dated["nextExecutionDate"].endswith("-01-01T00:00:00.000Z")
    assert far["state"] == far["triggerContext"]
    assert (far["abstractTrigger"]["interval"], far["state"]["disabled"], "nextExecutionDate" in far["state"]) == ("PT1H", False, True)
    listed = (await real.get("/api/v1/triggers/io.acme/watch")).json()
    assert [one["triggerId"] for one in listed["results"]] == ["called", "dated", "far"]


async def test_one_trigger_is_shown_with_the_reason_why_it_does_not_run(real: httpx.AsyncClient) -> None:
    shown = (await real.get("/api/v1/triggers/io.acme/watch/far")).json()
    assert (shown["reason"]["kind"], shown["reason"]["evidence"]) == ("NO_LIVE_WORKER", {"places": ["worker group 'nowhere'"]})
    reasons = {name: (await real.get(f"/api/v1/triggers/io.acme/watch/{name}")).json()["reason"] for name in ("dated", "called")}
    assert (reasons["dated"]["kind"], list(reasons["dated"]["evidence"])) == ("NOT_DUE", ["next"])
    assert reasons["called"]["kind"] == "AWAITING_CALL"
    assert (await real.get("/api/v1/triggers/io.acme/watch/none")).status_code == 404


async def test_a_trigger_sent_back_changed_is_enabled_or_disabled_and_nothing_else(real: httpx.AsyncClient) -> None:
    changed = await real.put("/api/v1/triggers", json={**FAR, "date": "2024-06-15T10:00:00Z", "disabled": True, "executionId": "hello"})
    assert (changed.status_code, changed.json()["disabled"], "executionId" in changed.json()) == (200, True, False)
    assert (await real.put("/api/v1/triggers", json=FAR)).json()["disabled"] is True
    assert (await real.put("/api/v1/triggers/set-disabled", json={**FAR, "disabled": False})).json()["disabled"] is False


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("PUT", "", {**FAR, "flowId": "none"}, 404, "Not Found: Flow of trigger far not found"),
        ("PUT", "", {**FAR, "triggerId": "none"}, 404, "Not Found: Trigger none of flow io.acme.watch not found"),
        ("PUT", "", {"namespace": "io.acme"}, 422, "Invalid json: a trigger is named by `namespace`, `flowId` and `triggerId`"),
        ("PUT", "", {**FAR, "backfill": {"start": "2024-01-01T00:00:00Z"}}, 422, "Illegal argument: trigger far has no dates that could be made up for"),
        ("PUT", "/set-disabled", FAR, 422, "Illegal argument: `disabled` is true or false"),
        ("PUT", "/backfill/create", FAR, 422, "Illegal argument: `backfill` is a map with `start`"),
        ("PUT", "/backfill/create", {**FAR, "backfill": {"start": "yesterday"}}, 422, "Illegal argument: `backfill`: "),
        ("PUT", "/backfill/create", {**DATED, "backfill": {"start": "2999-01-01T00:00:00Z"}}, 422, "Illegal argument: a backfill ends after its start"),
        ("PUT", "/backfill/create", {**DATED, "backfill": {"start": "2024-01-01T00:00:00Z", "inputs": []}}, 422, "Illegal argument: `backfill.inputs`"),
        ("PUT", "/backfill/unpause", DATED, 400, "Bad Request: No backfill found for trigger dated"),
        ("PUT", "/backfill/pause", {**FAR, "flowId": "none"}, 404, "Not Found: Flow of trigger far not found"),
        ("POST", "/backfill/delete", FAR, 400, "Bad Request: No backfill found for trigger far"),
        ("POST", "/io.acme/watch/far/unlock", None, 409, "Illegal state: Trigger is not locked"),
        ("POST", "/notfound/notfound/notfound/restart", None, 404, "Not Found: Flow of trigger notfound not found"),
        ("DELETE", "/io.acme/watch/far", None, 409, "Illegal state: Trigger far of flow io.acme.watch cannot be deleted because the flow still declares it"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_clear_message(
    real: httpx.AsyncClient, method: str, path: str, body: Any, status: int, message: str
) -> None:
    answer = await real.request(method, "/api/v1/triggers" + path, json=body)
    assert (answer.status_code, answer.json()["message"][: len(message)]) == (status, message)


async def test_a_trigger_is_restarted(real: httpx.AsyncClient) -> None:
    assert (await real.post("/api/v1/triggers/io.acme/watch/far/restart")).json()["triggerId"] == "far"


async def test_many_are_enabled_and_disabled_by_name_or_by_a_search(real: httpx.AsyncClient) -> None:
    async def disabled() -> list[bool]:
        found = (await real.get("/api/v1/triggers/search", params={"namespace": "io"})).json()["results"]
        return [one["state"]["disabled"] for one in found]

    by_names = {"triggers": [FAR, {**FAR, "triggerId": "none"}], "disabled": True}
    assert (await real.post("/api/v1/triggers/set-disabled/by-triggers", json=by_names)).json() == {"count": 1}
    assert await disabled() == [False, False, True]
    again = {"triggers": [FAR], "disabled": True}
    assert (await real.post("/api/v1/triggers/set-disabled/by-triggers", json=again)).json() == {"count": 1}
    by_query = {"namespace": "io.acme", "disabled": "false"}
    assert (await real.post("/api/v1/triggers/set-disabled/by-query", params=by_query)).json() == {"count": 3}
    assert await disabled() == [False, False, False]
    assert (await real.post("/api/v1/triggers/set-disabled/by-query", params={"filters[triggerId][EQUALS]": "dated"})).json() == {"count": 1}
    assert await disabled() == [False, True, False]


async def test_a_backfill_is_asked_for_paused_gone_on_with_and_given_up(real: httpx.AsyncClient) -> None:
    asked = {**DATED, "backfill": {"start": "2001-06-01T00:00:00Z", "end": "2020-01-01T00:00:00Z", "labels": [{"key": "a", "value": "b"}]}}
    for method, path in (("PUT", "/api/v1/triggers"), ("PUT", "/api/v1/triggers/backfill/create")):
        begun = (await real.request(method, path, json=asked)).json()["backfill"]
        assert (begun["start"], begun["end"], begun["paused"]) == ("2001-06-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z", False)
        assert begun["currentDate"] >= "2002-01-01" < begun["previousNextExecutionDate"]
    paused = (await real.put("/api/v1/triggers/backfill/pause", json=DATED)).json()
    assert (paused["backfill"]["paused"], paused["nextExecutionDate"]) == (True, begun["previousNextExecutionDate"])
    assert (await real.post("/api/v1/triggers/backfill/unpause/by-triggers", json=[DATED, FAR])).json() == {"count": 1}
    assert (await real.post("/api/v1/triggers/backfill/pause/by-query", params={"flowId": "watch"})).json() == {"count": 1}
    assert "backfill" not in (await real.post("/api/v1/triggers/backfill/delete", json=DATED)).json()


async def test_bulk_actions_count_only_those_they_are_for(real: httpx.AsyncClient) -> None:
    assert (await real.post("/api/v1/triggers/unlock/by-triggers", json=[FAR])).json() == {"count": 0}
    assert (await real.post("/api/v1/triggers/unlock/by-query")).json() == {"count": 0}
    assert (await real.request("DELETE", "/api/v1/triggers/delete/by-triggers", json=[FAR])).json() == {"totalItems": 0}
    assert (await real.delete("/api/v1/triggers/delete/by-query")).json() == {"totalItems": 0}
    assert (await real.post("/api/v1/triggers/backfill/pause/by-query")).json() == {"count": 0}


# --- what an evaluation may reach


@pytest.fixture
async def evaluation(site: Callable[..., Site]) -> AsyncIterator[tuple[Site, httpx.AsyncClient]]:
    made = site(api_token="secret", secrets={"TOKEN": "c2VjcmV0IHRleHQ="})
    async with made.client(Authorization="Bearer secret") as api:
        await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    token = made.tokens.mint_evaluation("look1", "io.acme", "hello", datetime.now(UTC) + timedelta(hours=1))
    async with made.client(Authorization=f"Bearer {token}") as api:
        yield made, api


async def test_an_evaluation_keeps_files_under_the_execution_that_is_to_come(evaluation: tuple[Site, httpx.AsyncClient]) -> None:
    _, api = evaluation
    files = paths.at(paths.FILES, execution_id="look1")
    uri = (await api.put(files, params={"name": "rows.csv"}, content=b"x")).json()["uri"]
    assert uri.startswith("kestra:///io/acme/hello/executions/look1/")
    assert (await api.get(files, params={"uri": uri})).content == b"x"
    assert (await api.get(paths.at(paths.FILE_SIZE, execution_id="look1"), params={"uri": uri})).json() == {"size": 1}
    assert (await api.get(files, params={"uri": uri.replace("look1", "other")})).status_code == 403
    assert (await api.post(paths.at(paths.FILES_PURGE, execution_id="look1"))).json() == {"uris": [uri]}


async def test_an_evaluation_reads_secrets_and_what_belongs_to_its_namespace(evaluation: tuple[Site, httpx.AsyncClient]) -> None:
    _, api = evaluation
    key = paths.at(paths.KEY, execution_id="look1", namespace="io.acme", key="k")
    assert (await api.put(key, json={"value": 1})).status_code == 204
    assert (await api.get(key)).json() == {"value": 1}
    content = paths.at(paths.NAMESPACE_FILE, execution_id="look1", namespace="io.acme")
    assert (await api.put(content, params={"path": "/a.txt"}, content=b"y")).status_code == 204
    assert (await api.get(content, params={"path": "/a.txt"})).content == b"y"
    assert (await api.get(paths.at(paths.SECRET, execution_id="look1"), params={"key": "TOKEN"})).json() == {"value": "secret text"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", paths.at(paths.KEY, execution_id="look1", namespace="io.other", key="k")),
        ("PUT", paths.at(paths.KEY, execution_id="look1", namespace="io", key="k")),
        ("GET", paths.at(paths.KEYS, execution_id="look1", namespace="io.other")),
        ("GET", paths.at(paths.NAMESPACE_FILES, execution_id="look1", namespace="io.other")),
        ("GET", paths.at(paths.NAMESPACE_FILE, execution_id="look1", namespace="io.other")),
        ("GET", paths.at(paths.OUTPUTS, execution_id="look1", task_id="a")),
        ("POST", paths.at(paths.OPEN, execution_id="look1")),
        ("GET", paths.at(paths.LOGS, execution_id="look1")),
        ("GET", paths.at(paths.COUNT, execution_id="look1")),
        ("GET", paths.at(paths.FILES, execution_id="another")),
        ("GET", paths.RUN.format(execution_id="look1") + "/kv/io.acme%2F..%2Fio.other/k"),
    ],
)
async def test_an_evaluation_reaches_nothing_else(evaluation: tuple[Site, httpx.AsyncClient], method: str, path: str) -> None:
    _, api = evaluation
    answer = await api.request(method, path)
    assert answer.status_code in (403, 404)
    assert answer.status_code == 403 or "%2F" in path


async def test_the_token_of_an_evaluation_ends_and_opens_no_execution(evaluation: tuple[Site, httpx.AsyncClient]) -> None:
    site, _ = evaluation
    past = site.tokens.mint_evaluation("look1", "io.acme", "hello", datetime.now(UTC) - timedelta(seconds=1))
    async with site.client(Authorization=f"Bearer {past}") as api:
        assert (await api.get(paths.at(paths.FILES, execution_id="look1"))).status_code == 401
    good = site.tokens.mint_evaluation("look1", "io.acme", "hello", datetime.now(UTC) + timedelta(hours=1))
    assert site.tokens.execution_of(good) is None
    forged = good.replace("look1", "look2")
    assert site.tokens.grant_of(forged) is None
