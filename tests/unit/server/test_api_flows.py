from __future__ import annotations

import httpx
import pytest
from api_site import FLOW, YAML

pytestmark = pytest.mark.anyio


async def test_a_flow_created_is_read_back_with_its_source(api: httpx.AsyncClient) -> None:
    made = await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    assert made.status_code == 200, made.text
    assert (made.json()["revision"], made.json()["source"]) == (1, FLOW)
    plain = (await api.get("/api/v1/main/flows/io.acme/hello")).json()
    assert "source" not in plain
    assert plain["tasks"] == [{"id": "t", "type": "x.Y", "format": "{{ inputs.name }}"}]
    assert plain["disabled"] is False
    assert (await api.get("/api/v1/flows/io.acme/hello/?source=true")).json()["source"] == FLOW


async def test_a_flow_that_exists_cannot_be_created_again(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    again = await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    assert again.status_code == 422
    assert again.json()["message"] == "Invalid entity: id: Flow id already exists"
    assert again.json()["_embedded"]["errors"] == [{"message": "Flow id already exists", "path": "id"}]


async def test_a_broken_flow_is_told_with_every_place(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/flows", content="id: x\nnamespace: a\n", headers=YAML)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("Invalid entity: ")
    assert answer.json()["_embedded"]["errors"] == [{"message": "bad", "path": "tasks"}]
    assert answer.json()["diagnostics"][0]["line"] == 3


async def test_an_update_makes_a_new_revision_only_when_something_changed(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    for _ in range(2):
        answer = await api.put("/api/v1/flows/io.acme/hello", content=FLOW + "# more\n", headers=YAML)
        assert answer.json()["revision"] == 2
    found = (await api.get("/api/v1/flows/io.acme/hello/revisions")).json()
    assert [flow["revision"] for flow in found] == [1, 2]
    assert (await api.get("/api/v1/flows/io.acme/hello?revision=1&source=true")).json()["source"] == FLOW
    assert (await api.put("/api/v1/flows/io.acme/other", content=FLOW, headers=YAML)).status_code == 404


async def test_a_deleted_flow_is_only_seen_when_asked_for(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)
    assert (await api.delete("/api/v1/flows/io.acme/hello")).status_code == 204
    assert (await api.delete("/api/v1/flows/io.acme/hello")).status_code == 404
    assert (await api.get("/api/v1/flows/io.acme/hello")).status_code == 404
    assert (await api.get("/api/v1/flows/io.acme/hello?allowDeleted=true")).json()["deleted"] is True


async def test_flows_are_searched_by_both_styles_of_filter(api: httpx.AsyncClient) -> None:
    for id in ("a", "b"):
        await api.post("/api/v1/flows", content=FLOW.replace("hello", id), headers=YAML)
    await api.post("/api/v1/flows", content=FLOW.replace("io.acme", "io.acme.sub"), headers=YAML)
    assert (await api.get("/api/v1/flows/search?namespace=io.acme&size=2")).json()["total"] == 3
    assert len((await api.get("/api/v1/flows/search?namespace=io.acme&size=2")).json()["results"]) == 2
    assert (await api.get("/api/v1/flows/search", params={"filters[namespace][EQUALS]": "io.acme"})).json()["total"] == 2
    assert [flow["id"] for flow in (await api.get("/api/v1/flows/io.acme")).json()] == ["a", "b"]
    assert (await api.get("/api/v1/flows/search?size=0")).status_code == 422
    assert (await api.get("/api/v1/flows/search", params={"filters[nonsense][EQUALS]": "x"})).status_code == 422
