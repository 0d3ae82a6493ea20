"""Calls of webhooks over HTTP, and conditions and schedules tried out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_site import YAML

from orchestrator.model.node_token import NodeTokens
from orchestrator.model.run_token import RunTokens
from orchestrator.runtime.client import ExecutorClient
from orchestrator.server.app import create_app
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from tests.unit.runtime.executor_house import house

pytestmark = pytest.mark.anyio
SOURCE = """id: hook
namespace: io.acme
tasks:
  - {id: a, type: io.kestra.plugin.core.debug.Return, format: "{{ trigger.body.x ?? 'none' }}"}
outputs:
  - {id: said, type: STRING, value: "{{ outputs.a.value }}"}
triggers:
  - {id: one, type: io.kestra.plugin.core.trigger.Webhook, key: k1}
  - {id: two, type: io.kestra.plugin.core.trigger.Webhook, key: k2, wait: true, returnOutputs: true, responseContentType: text/plain}
  - {id: three, type: io.kestra.plugin.core.trigger.Webhook, key: k3, wait: true, when: "{{ trigger.headers.authorization[0] == 'Bearer mine' }}"}
"""
AT = "/api/v1/executions/webhook/io.acme/hook"


@asynccontextmanager
async def served(folder: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with house(folder) as own:
        app = create_app(
            executor=ExecutorClient(own.parts.intake.call),
            reader=own.parts.executor.store,
            settings=Settings(**settings),
            blobs=Blobs(folder / "blobs"),
            run_tokens=RunTokens(b"k" * 32),
            node_tokens=NodeTokens(b"k" * 32),
        )
        login = {"Authorization": f"Bearer {settings['api_token']}"} if "api_token" in settings else {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080", headers=login) as client:
            assert (await client.post("/api/v1/flows", content=SOURCE, headers=YAML)).status_code == 200
            yield client


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(tmp_path) as client:
        yield client


async def test_what_a_call_sends_is_there_for_the_flow(real: httpx.AsyncClient) -> None:
    answer = await real.post(
        f"{AT}/k1/some/path?name=john&age=12&age=13", json={"x": 1}, headers={"X-Told": "yes", "Cookie": "a=b", "Authorization": "Basic x"}
    )
    execution = answer.json()
    told = execution["trigger"]["variables"]
    assert (answer.status_code, execution["state"]["current"], execution["url"].rsplit("/", 1)[1]) == (200, "CREATED", execution["id"])
    assert (told["body"], told["parameters"], told["path"]) == ({"x": 1}, {"name": ["john"], "age": ["12", "13"]}, "some/path")
    assert (told["headers"]["x-told"], {"cookie", "authorization"} & set(told["headers"])) == (["yes"], set())
    assert (await real.get("/api/v1/main/executions/webhook/io.acme/hook/k1")).json()["trigger"]["id"] == "one"


BODIES = ((b"[1, {}]", [1, {}]), (b"bla", "bla"), (b'{"a"', '{"a"'), (b"5", "5"), (b"\xff\x00", "/wA="), (b"", None))


async def test_a_body_is_a_map_a_list_or_text(real: httpx.AsyncClient) -> None:
    for content, body in BODIES:
        answer = await real.put(f"{AT}/k1", content=content)
        assert answer.json()["trigger"]["variables"].get("body") == body


async def test_a_call_that_waits_is_answered_with_the_outputs(real: httpx.AsyncClient) -> None:
    answer = await real.post(f"{AT}/k2", json={"x": "hello"})
    assert (answer.status_code, answer.text, answer.headers["content-type"].split(";")[0]) == (200, "hello", "text/plain")


async def test_conditions_may_look_at_what_opens_doors_where_that_is_not_the_login(real: httpx.AsyncClient) -> None:
    assert (await real.post(f"{AT}/k3")).status_code == 204
    answer = await real.post(f"{AT}/k3", headers={"Authorization": "Bearer mine"})
    assert (answer.status_code, answer.json()["state"]["current"]) == (200, "SUCCESS")
    assert "authorization" not in answer.json()["trigger"]["variables"]["headers"]


async def test_with_a_login_no_condition_sees_it(tmp_path: Path) -> None:
    async with served(tmp_path, api_token="mine") as client:
        assert (await client.post(f"{AT}/k3")).status_code == 204
        assert (await client.post(f"{AT}/k1", headers={"Authorization": ""})).status_code == 401


async def test_a_flow_or_key_that_is_not_there_is_told(real: httpx.AsyncClient) -> None:
    for path, message in (("hook/no", "Not Found: Webhook not found"), ("none/k1", "Not Found: Flow not found")):
        answer = await real.post(f"/api/v1/executions/webhook/io.acme/{path}")
        assert (answer.status_code, answer.json()["message"]) == (404, message)


async def test_a_webhook_that_is_disabled_is_told(real: httpx.AsyncClient) -> None:
    await real.put("/api/v1/triggers/set-disabled", json={"namespace": "io.acme", "flowId": "hook", "triggerId": "one", "disabled": True})
    answer = await real.post(f"{AT}/k1")
    assert (answer.status_code, answer.json()["message"]) == (409, "Illegal state: Webhook is disabled")


SENSELESS: tuple[tuple[str, Any], ...] = (
    ("conditions", {"type": "nope"}),
    ("conditions", {"type": "core.condition.DayWeek", "properties": {"dayOfWeek": "NODAY"}}),
    ("conditions", {"type": "core.condition.ExecutionStatus", "properties": {}, "execution": {"state": "NOSTATE"}}),
    ("conditions", {"type": "core.condition.ExecutionStatus", "properties": {}, "execution": []}),
    ("conditions", {"type": "core.condition.Expression", "properties": {"expression": "{{ nope }}"}}),
    ("schedules", {}),
    ("schedules", {"trigger": {"type": "core.trigger.Webhook", "key": "k"}, "last": None}),
    ("schedules", {"trigger": {"type": "core.trigger.Schedule", "cron": "nope"}, "last": None}),
    ("schedules", {"trigger": {"type": "core.trigger.Schedule", "cron": "@daily"}}),
    ("schedules", {"trigger": {"type": "core.trigger.Schedule", "cron": "@daily"}, "evaluate_at": "today"}),
)


async def test_a_trial_that_makes_no_sense_is_refused(real: httpx.AsyncClient) -> None:
    for path, body in SENSELESS:
        answer = await real.post(f"/api/v1/{path}/evaluate", json=body)
        assert answer.status_code == 422, answer.text


async def test_conditions_and_schedules_are_tried_out(real: httpx.AsyncClient) -> None:
    condition = {"type": "core.condition.ExecutionStatus", "properties": {"in": ["FAILED"]}, "execution": {"namespace": "n", "flowId": "f", "state": "FAILED"}}
    assert (await real.post("/api/v1/conditions/evaluate", json=condition)).json() == {"result": True}
    schedule = {
        "trigger": {"type": "core.trigger.Schedule", "cron": "@daily", "timezone": "Europe/Paris"},
        "now": "2024-06-15T10:00:00Z",
        "last": None,
        "count": 2,
    }
    assert (await real.post("/api/v1/schedules/evaluate", json=schedule)).json() == {
        "next": "2024-06-16T00:00:00+02:00",
        "next_n": ["2024-06-16T00:00:00+02:00", "2024-06-17T00:00:00+02:00"],
    }
