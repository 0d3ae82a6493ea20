from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from api_site import FLOW, YAML, Site

from orchestrator.model.state import State

pytestmark = pytest.mark.anyio


@pytest.fixture
async def started(api: httpx.AsyncClient, open_site: Site) -> str:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    id = (await api.post("/api/v1/executions/io.acme/hello")).json()["id"]
    open_site.executor.move(id, State.RUNNING)
    return str(id)


async def test_a_kill_is_accepted_and_shows_the_execution(api: httpx.AsyncClient, started: str) -> None:
    for path in (f"/api/v1/executions/{started}/kill", f"/api/v1/main/executions/{started}/actions/kill"):
        answer = await api.delete(path)
        assert (answer.status_code, answer.json()["id"]) == (202, started)
        break
    assert (await api.delete("/api/v1/executions/nobody/kill")).status_code == 404


async def test_a_resume_answers_as_its_generation_expects(api: httpx.AsyncClient, open_site: Site, started: str) -> None:
    open_site.executor.move(started, State.PAUSED)
    answer = await api.post(f"/api/v1/executions/{started}/resume")
    assert (answer.status_code, answer.content) == (204, b"")
    open_site.executor.move(started, State.PAUSED)
    answer = await api.post(f"/api/v1/main/executions/{started}/actions/resume", files={"a": (None, "1")})
    assert (answer.status_code, answer.json()["state"]["current"]) == (200, "RUNNING")
    refused = await api.post(f"/api/v1/executions/{started}/resume")
    assert refused.status_code == 409
    assert refused.json()["message"] == f"Illegal state: Execution '{started}' is not paused, can't resume it"


async def test_an_action_that_makes_an_execution_shows_the_new_one(api: httpx.AsyncClient, started: str) -> None:
    new = (await api.post(f"/api/v1/executions/{started}/replay")).json()
    assert (new["id"] != started, new["flowId"]) == (True, "hello")


async def test_labels_are_put_on_what_has_ended(api: httpx.AsyncClient, open_site: Site, started: str) -> None:
    labels = [{"key": "a", "value": "b"}]
    assert (await api.post(f"/api/v1/executions/{started}/labels", json=labels)).status_code == 400
    open_site.executor.move(started, State.SUCCESS)
    assert (await api.post(f"/api/v1/executions/{started}/labels", json=labels)).json()["labels"] == labels
    assert (await api.post(f"/api/v1/executions/{started}/labels", json=[{"key": None, "value": None}])).status_code == 422
    assert (await api.post("/api/v1/executions/nobody/labels", json=labels)).status_code == 404


async def test_a_deleted_execution_is_gone(api: httpx.AsyncClient, started: str) -> None:
    assert (await api.delete(f"/api/v1/executions/{started}")).status_code == 204
    assert (await api.get(f"/api/v1/executions/{started}")).status_code == 404
    assert (await api.delete(f"/api/v1/executions/{started}")).status_code == 404


async def test_a_bulk_action_touches_nothing_when_one_is_not_eligible(api: httpx.AsyncClient, open_site: Site, started: str) -> None:
    answer = await api.request("DELETE", "/api/v1/executions/kill/by-ids", json=[started, "nobody"])
    assert answer.status_code == 400
    assert answer.json()["message"] == "invalid bulk kill"
    assert answer.json()["invalids"] == [{"message": "execution not found", "invalidValue": "nobody"}]
    assert (await api.get(f"/api/v1/executions/{started}")).json()["state"]["current"] == "RUNNING"
    assert (await api.request("DELETE", "/api/v1/executions/kill/by-ids", json=[started])).json() == {"count": 1}
    assert (await api.post("/api/v1/executions/resume/by-query?flowId=hello")).status_code == 400
    assert (await api.post("/api/v1/executions/resume/by-query?flowId=none")).json() == {"count": 0}
    assert (await api.request("DELETE", "/api/v1/executions/by-ids", json=[started])).json() == {"count": 1}
    assert (await api.get(f"/api/v1/executions/{started}")).status_code == 404


async def test_a_followed_execution_is_told_to_its_end(api: httpx.AsyncClient, open_site: Site, started: str) -> None:
    events = []
    open_site.executor.move(started, State.PAUSED)
    open_site.executor.move(started, State.RUNNING, State.SUCCESS)
    answer = await api.get(f"/api/v1/executions/{started}/follow")
    assert answer.headers["content-type"].startswith("text/event-stream")
    for block in answer.text.strip().split("\n\n"):
        events.append(dict(line.split(": ", 1) for line in block.split("\n")))
    assert [event["id"] for event in events] == ["start", "end"]
    assert '"current":"SUCCESS"' in events[-1]["data"]


async def test_the_logs_of_an_execution_are_listed_and_downloaded(api: httpx.AsyncClient, open_site: Site, started: str) -> None:
    open_site.executor.say(started, "INFO one", "ERROR two")
    assert [line["message"] for line in (await api.get(f"/api/v1/logs/{started}")).json()] == ["INFO one", "ERROR two"]
    assert [line["level"] for line in (await api.get(f"/api/v1/logs/{started}?minLevel=WARN")).json()] == ["ERROR"]
    text = (await api.get(f"/api/v1/logs/{started}/download")).text
    assert text.split("\n")[1].endswith("Z ERROR ERROR two")
    assert not text.endswith("\n")
    assert (await api.get("/api/v1/logs/nobody")).json() == []
    found = (await api.get("/api/v1/logs/search", params={"filters[level][EQUALS]": "ERROR", "filters[executionId][EQUALS]": started})).json()
    assert (found["total"], found["type"], found["results"][0]["message"]) == (1, "OFFSET", "ERROR two")
    assert (await api.get(f"/api/v1/logs/{started}?minLevel=LOUD")).status_code == 422


async def test_followed_logs_come_once_each_and_end_with_the_execution(api: httpx.AsyncClient, open_site: Site, started: str) -> None:
    open_site.executor.say(started, "INFO one", "INFO two")
    open_site.executor.move(started, State.SUCCESS)
    text = (await api.get(f"/api/v1/logs/{started}/follow")).text
    assert [text.count(word) for word in ("id: start", "INFO one", "INFO two")] == [1, 1, 1]


async def test_outputs_are_found_where_the_newest_clients_look(api: httpx.AsyncClient, started: str) -> None:
    assert (await api.get(f"/api/v1/main/outputs/executions/{started}")).json() == {}
    assert (await api.get(f"/api/v1/main/outputs/tasks/{started}")).json() == []
    assert (await api.get(f"/api/v1/main/outputs/tasks/{started}/none")).status_code == 404


async def test_the_newest_execution_of_each_flow_is_told(api: httpx.AsyncClient, started: str) -> None:
    found = (await api.post("/api/v1/executions/latest", json=[{"namespace": "io.acme", "id": "hello"}, {"namespace": "io.acme", "id": "none"}])).json()
    assert [(last["id"], last["status"]) for last in found] == [(started, "RUNNING")]
    assert datetime.fromisoformat(found[0]["startDate"]) <= datetime.now(UTC)
