"""Executions resumed with what they ask for, logs deleted, graphs, and what a run may do to other executions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_site import YAML, Site

from orchestrator.errors import NotFound
from orchestrator.model import internal_paths as paths
from orchestrator.model.state import State
from orchestrator.store.port import LogFilter

pytestmark = pytest.mark.anyio
FLOW = "id: hello\nnamespace: io.acme\ntasks: [{id: t, type: io.kestra.plugin.core.log.Log, message: x}]\n"
ASKS: list[dict[str, Any]] = [{"id": "approved", "type": "BOOLEAN"}, {"id": "report", "type": "FILE", "required": False}]
Run = tuple[Site, str, httpx.AsyncClient]


@pytest.fixture
async def paused(api: httpx.AsyncClient, open_site: Site) -> str:
    id = await _started(api)
    open_site.executor.move(id, State.RUNNING, State.PAUSED)
    open_site.executor.asks = ASKS
    return id


@pytest.fixture
async def run(site: Callable[..., Site]) -> AsyncIterator[Run]:
    made = site(api_token="secret")
    async with made.client(Authorization="Bearer secret") as api:
        id = await _started(api)
    async with made.client(Authorization=f"Bearer {made.tokens.mint(id, _later())}") as api:
        yield made, id, api


async def _started(api: httpx.AsyncClient) -> str:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    return str((await api.post("/api/v1/executions/io.acme/hello")).json()["id"])


def _later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def _asked(site: Site, verb: str) -> dict[str, object]:
    return next(body["args"] for method, body in reversed(site.executor.asked) if method == "act" and body["verb"] == verb)


async def test_texts_and_files_are_sorted_by_what_is_asked_for(api: httpx.AsyncClient, open_site: Site, paused: str) -> None:
    form: dict[str, Any] = {"approved": (None, "true"), "files": ("report", b"rows"), "other": (None, "x")}
    assert (await api.post(f"/api/v1/executions/{paused}/resume", files=form)).status_code == 204
    args = _asked(open_site, "resume")
    assert args["inputs"] == {"approved": "true", "other": "x"}
    report = args["files"]["report"]  # type: ignore[index]
    assert open_site.blobs.open(report["blob"]).read() == b"rows"


async def test_files_of_a_resume_that_is_refused_are_gone(api: httpx.AsyncClient, open_site: Site, paused: str) -> None:
    refused = await api.post(f"/api/v1/executions/{paused}/resume", files={"approved": (None, "no"), "report": ("r.csv", b"rows")})
    assert refused.status_code == 422
    with pytest.raises(NotFound):
        open_site.blobs.open(_asked(open_site, "resume")["files"]["report"]["blob"])  # type: ignore[index]


async def test_what_a_resume_would_be_given_is_told_and_nothing_goes_on(api: httpx.AsyncClient, open_site: Site, paused: str) -> None:
    answer = await api.post(f"/api/v1/main/executions/{paused}/actions/resume/validate", files={"approved": (None, "maybe")})
    told = {one["input"]["id"]: one for one in answer.json()["inputs"]}
    assert (answer.status_code, set(told)) == (200, {"approved", "report"})
    assert "maybe" in told["approved"]["errors"][0]["message"]
    assert open_site.executor.store.execution(paused).current is State.PAUSED  # type: ignore[union-attr]


async def test_lines_of_an_execution_or_a_flow_are_deleted(api: httpx.AsyncClient, open_site: Site, paused: str) -> None:
    open_site.executor.say(paused, "INFO a", "ERROR b")
    assert (await api.delete(f"/api/v1/logs/{paused}", params={"minLevel": "ERROR"})).status_code == 200
    assert [line["message"] for line in (await api.get(f"/api/v1/logs/{paused}")).json()] == ["INFO a"]
    assert (await api.delete("/api/v1/logs/io.acme/other")).status_code == 200
    assert (await api.delete("/api/v1/logs/io.acme/hello")).status_code == 200
    assert (await api.get(f"/api/v1/logs/{paused}")).json() == []


async def test_flows_sources_and_executions_are_drawn(api: httpx.AsyncClient, paused: str) -> None:
    for graph in (
        await api.get("/api/v1/flows/io.acme/hello/graph"),
        await api.post("/api/v1/flows/graph", content=FLOW, headers=YAML),
        await api.get(f"/api/v1/executions/{paused}/graph"),
    ):
        assert graph.status_code == 200, graph.text
        assert "root.t" in [node["uid"] for node in graph.json()["nodes"]]
    assert (await api.post("/api/v1/flows/graph", content="id: x\n", headers=YAML)).status_code == 422
    missing = await api.get("/api/v1/flows/io.acme/nobody/graph")
    assert (missing.status_code, missing.json()["message"]) == (404, "Not Found: Unable to find flow io.acme_nobody")


async def test_a_run_resumes_another_execution(run: Run) -> None:
    site, id, api = run
    async with site.client(Authorization="Bearer secret") as admin:
        other = await _started(admin)
    place = paths.at(paths.RESUME, execution_id=id, other_id=other)
    assert (await api.post(place, json={"inputs": {}})).status_code == 409
    site.executor.move(other, State.RUNNING, State.PAUSED)
    assert (await api.post(place, json={"inputs": {"a": 1}})).status_code == 204
    assert _asked(site, "resume")["inputs"] == {"a": 1}


async def test_a_run_purges_ended_executions_and_tells_what_went(run: Run) -> None:
    site, id, api = run
    async with site.client(Authorization="Bearer secret") as admin:
        ended, going = await _started(admin), await _started(admin)
    site.executor.move(ended, State.RUNNING, State.SUCCESS)
    site.executor.say(ended, "INFO a", "INFO b")
    which = {"namespace": "io", "endDate": _later().isoformat()}
    answer = await api.post(paths.at(paths.PURGE_EXECUTIONS, execution_id=id), json={"which": which, "what": {}})
    assert answer.json() == {"executions": 1, "logs": 2, "metrics": 0, "storages": 0}
    assert site.executor.store.execution(ended) is None
    assert site.executor.store.execution(going) is not None


async def test_a_run_purges_lines_by_level_and_date(run: Run) -> None:
    site, id, api = run
    site.executor.say(id, "INFO a", "DEBUG b")
    place = paths.at(paths.PURGE_LOGS, execution_id=id)
    early = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert (await api.post(place, json={"which": {"namespace": "io", "endDate": early}})).json() == {"executions": 0, "others": 0}
    which = {"namespace": "io", "endDate": _later().isoformat(), "logLevels": ["DEBUG"]}
    assert (await api.post(place, json={"which": which})).json() == {"executions": 1, "others": 0}
    assert [line.message for _, line in site.executor.store.logs(LogFilter(execution_id=id))] == ["INFO a"]
    assert (await api.post(place, json={"which": {**which, "logLevels": ["LOUD"]}})).status_code == 422


async def test_the_evaluation_of_a_trigger_may_do_none_of_it(run: Run) -> None:
    site, id, _ = run
    async with site.client(Authorization=f"Bearer {site.tokens.mint_evaluation('ev', 'io.acme', 'hello', _later())}") as trigger:
        for place in (paths.at(paths.RESUME, execution_id="ev", other_id=id), paths.at(paths.PURGE_LOGS, execution_id="ev")):
            assert (await trigger.post(place, json={})).status_code == 403
