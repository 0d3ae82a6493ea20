from __future__ import annotations

import base64
from collections.abc import Callable

import httpx
import pytest
from api_site import FLOW, Site

from orchestrator.model.surroundings import KnownGroups, Surroundings
from orchestrator.model.worker_group import WorkerGroup

pytestmark = pytest.mark.anyio
RENDER = "/api/v1/expressions/render"


async def test_an_expression_is_rendered_with_its_variables(api: httpx.AsyncClient) -> None:
    answer = await api.post(RENDER, json={"expression": "Hello {{ inputs.name }}", "variables": {"inputs": {"name": "you"}}})
    assert answer.json() == {"result": "Hello you"}
    nested = {"expression": {"{{ k }}": ["{{ 1 + 1 }}"]}, "variables": {"k": "key"}}
    assert (await api.post(RENDER, json=nested)).json() == {"result": {"key": ["2"]}}
    dated = {"expression": "{{ d | date('yyyy') }}", "variables": {"d": {"$zoned": "2013-09-08T16:19:00+02:00"}}}
    assert (await api.post(RENDER, json=dated)).json() == {"result": "2013"}


async def test_a_failing_expression_says_why(api: httpx.AsyncClient) -> None:
    answer = await api.post(RENDER, json={"expression": "{{ missing }}", "variables": {}})
    assert answer.status_code == 422
    assert "Unable to find `missing` used in the expression `{{ missing }}` at line 1" in answer.json()["message"]


async def test_functions_read_keys_and_never_tell_a_secret(site: Callable[..., Site]) -> None:
    made = site(secrets={"DB": base64.b64encode(b"pw").decode()})
    async with made.client() as api:
        await api.put("/api/v1/namespaces/io.acme/kv/k", content='"v"')
        assert (await api.post(RENDER, json={"expression": "{{ kv('k') }}", "namespace": "io.acme"})).json() == {"result": "v"}
        upper = await api.post(RENDER, json={"expression": "{{ secret('DB') | upper }}", "namespace": "io.acme"})
        assert upper.json() == {"result": "******"}


async def test_flows_are_validated_one_by_one_and_never_refused(api: httpx.AsyncClient) -> None:
    good = "id: a\nnamespace: io.acme\ntasks:\n  - id: t\n    type: io.kestra.plugin.core.log.Log\n    message: hi\n"
    text = good + "---\n" + good.replace("core.log.Log", "core.log.Nope").replace("id: a", "id: b") + "---\nid: [\n"
    found = (await api.post("/api/v1/flows/validate", content=text, headers={"Content-Type": "application/x-yaml"})).json()
    assert [(one["index"], one.get("flow"), "constraints" in one) for one in found] == [(0, "a", False), (1, "b", True), (2, None, True)]
    assert "Invalid type: io.kestra.plugin.core.log.Nope" in found[1]["constraints"]
    assert found[1]["diagnostics"][0]["line"] == 5


async def test_flows_and_tasks_are_validated_against_the_groups_and_defaults_of_the_server(open_site: Site, api: httpx.AsyncClient) -> None:
    log = "io.kestra.plugin.core.log.Log"
    open_site.executor.around = Surroundings(
        groups=KnownGroups(declared={"gpu": WorkerGroup(key="gpu", tags=("big",))}),
        namespace_defaults={"io": ({"type": log, "values": {"message": "from above"}},)},
    )
    flow = f"id: a\nnamespace: io.acme\ntasks:\n  - id: t\n    type: {log}\n    workerGroup: {{key: gqu}}\n---\n"
    flow += f"id: b\nnamespace: io.acme\ntasks: [{{id: t, type: {log}}}]\nworkerSelector: {{tags: [bigg]}}\n"
    refused, warned = (await api.post("/api/v1/flows/validate", content=flow, headers={"Content-Type": "application/x-yaml"})).json()
    assert refused["constraints"] == "tasks[0].workerGroup.key: No worker group 'gqu' is declared"
    assert [(d["code"], d["line"], d["column"], d["help"]) for d in refused["diagnostics"]] == [("unknown-worker-group", 6, 24, "did you mean `gpu`?")]
    assert ("constraints" in warned, warned["warnings"]) == (False, ["workerSelector.tags: no worker group has all of bigg"])
    task = {"id": "t", "type": log, "message": "hi", "workerGroup": {"key": "gqu"}}
    told = (await api.post("/api/v1/flows/validate/task?section=TASKS", json=task)).json()
    assert told["constraints"] == "workerGroup.key: No worker group 'gqu' is declared"
    bulk = await api.post("/api/v1/flows/bulk", content=flow, headers={"Content-Type": "application/x-yaml"})
    assert (bulk.status_code, bulk.json()["diagnostics"][0]["code"]) == (422, "unknown-worker-group")


async def test_a_plan_is_asked_for_as_yaml_or_with_inputs_as_json(open_site: Site, api: httpx.AsyncClient) -> None:
    plain = (await api.post("/api/v1/flows/plan", content=FLOW, headers={"Content-Type": "application/x-yaml"})).json()
    assert (plain["namespace"], plain["live"], plain["tasks"][0]["because"]) == ("io.acme", True, "{}")
    told = (await api.post("/api/v1/main/flows/plan", json={"source": FLOW, "inputs": {"name": "you", "n": 1}, "labels": {"team": 7}})).json()
    assert told["tasks"][0]["because"] == '{"name": "you", "n": 1}'
    assert open_site.executor.asked[-1] == ("plan_flow", {"source": FLOW, "inputs": {"name": "you", "n": 1}, "labels": {"team": "7"}})


async def test_a_plan_of_a_wrong_flow_is_refused_with_every_place(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/flows/plan", content="broken", headers={"Content-Type": "application/x-yaml"})
    assert (answer.status_code, answer.json()["diagnostics"][0]["line"]) == (422, 3)


@pytest.mark.parametrize("body", [{}, {"source": 1}, {"source": FLOW, "inputs": []}, {"source": FLOW, "labels": "a"}, []])
async def test_a_plan_that_is_asked_for_wrongly_is_refused(api: httpx.AsyncClient, body: object) -> None:
    assert (await api.post("/api/v1/flows/plan", json=body)).status_code == 422


async def test_a_flow_is_switched_off_though_its_group_is_not_declared_any_more(open_site: Site, api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW, headers={"Content-Type": "application/x-yaml"})
    assert (await api.post("/api/v1/flows/disable/by-ids", json=[{"id": "hello", "namespace": "io.acme"}])).json() == {"count": 1}
    assert open_site.executor.asked[-1][1]["was_accepted"] is True


async def test_what_is_installed_is_told(api: httpx.AsyncClient) -> None:
    configs = (await api.get("/api/v1/configs")).json()
    assert (configs["version"], configs["isBasicAuthEnabled"]) == ("0.1.0", False)
    tasks = [name for group in (await api.get("/api/v1/plugins")).json() for name in group["tasks"]]
    assert "io.kestra.plugin.core.log.Log" in tasks
    assert (await api.get("/api/v1/plugins/schemas/flow")).json()["type"] == "object"
    assert (await api.get("/api/v1/main/plugins/schemas/flow")).status_code == 200
    assert (await api.get("/api/v1/plugins/schemas/nothing")).status_code == 422
    assert (await api.get("/api/v1/plugins/io.nobody.Nothing")).status_code == 404
    assert (await api.get("/api/v1/plugins/io.kestra.plugin.core.log.Log")).json()["schema"]["properties"]


@pytest.mark.parametrize("path", ["conditions", "schedules"])
async def test_what_cannot_be_tried_out_says_so(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.post(f"/api/v1/{path}/evaluate", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-trial")


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"[" * 100_000])
async def test_a_body_that_cannot_be_read_is_refused(api: httpx.AsyncClient, body: bytes) -> None:
    assert (await api.post(RENDER, content=body)).status_code == 422
