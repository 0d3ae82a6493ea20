from __future__ import annotations

import httpx
import pytest
from api_site import FLOW, YAML, Site

pytestmark = pytest.mark.anyio


@pytest.fixture
async def flow(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW, headers=YAML)


async def test_an_execution_starts_with_the_inputs_of_a_form(api: httpx.AsyncClient, flow: None) -> None:
    answer = await api.post("/api/v1/executions/io.acme/hello?labels=a:b:c", files={"name": (None, "Ray")})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"]["current"], body["inputs"]) == ("CREATED", {"name": "Ray"})
    assert body["url"].endswith(f"/ui/executions/io.acme/hello/{body['id']}")
    assert body["labels"][0] == {"key": "a", "value": "b:c"}
    read = (await api.get(f"/api/v1/main/executions/{body['id']}")).json()
    assert read == {key: value for key, value in body.items() if key != "url"}


async def test_an_execution_starts_without_a_body(api: httpx.AsyncClient, flow: None) -> None:
    answer = await api.post("/api/v1/executions/io.acme/hello?wait=true")
    assert answer.json()["state"]["current"] == "SUCCESS"
    assert (await api.post("/api/v1/executions/trigger/io.acme/hello")).status_code == 200


async def test_a_form_without_parts_is_a_form(api: httpx.AsyncClient, flow: None) -> None:
    answer = await api.post("/api/v1/executions/io.acme/hello", content=b"--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("part", "name"), [("doc", "a b.txt"), ("files", "doc")])
async def test_a_file_is_an_input_by_its_parts_name_or_by_its_own(api: httpx.AsyncClient, flow: None, part: str, name: str) -> None:
    content = b"x" * 300_000
    started = (await api.post("/api/v1/executions/io.acme/hello", files={part: (name, content, "text/plain")})).json()
    uri = started["inputs"]["doc"]
    assert uri.startswith(f"kestra:///io/acme/hello/executions/{started['id']}/inputs/doc/")
    read = await api.get(f"/api/v1/executions/{started['id']}/file", params={"path": uri})
    assert (read.status_code, read.content) == (200, content)
    assert (await api.get(f"/api/v1/executions/{started['id']}/file/metas", params={"path": uri})).json() == {"size": 300_000}


@pytest.mark.parametrize(("name", "kept"), [("doc", "doc.csv"), ("own.txt", "own.txt")])
async def test_a_file_without_an_extension_gets_that_of_its_input(api: httpx.AsyncClient, name: str, kept: str) -> None:
    await api.post("/api/v1/flows", content=FLOW.replace("type: FILE", "type: FILE, extension: .csv"), headers=YAML)
    started = (await api.post("/api/v1/executions/io.acme/hello", files={"doc": (name, b"x", "text/plain")})).json()
    assert started["inputs"]["doc"].endswith(f"/inputs/doc/{kept}")


async def test_a_broken_form_is_refused_and_leaves_no_bytes(api: httpx.AsyncClient, open_site: Site, flow: None) -> None:
    broken = b'--x\r\nContent-Disposition: form-data; name="doc"; filename="doc"\r\n\r\nhalf'
    answer = await api.post("/api/v1/executions/io.acme/hello", content=broken, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 422
    assert not [path for path in open_site.blobs.drafts.parent.rglob("*") if path.is_file()]


async def test_what_is_unknown_is_not_found(api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/executions/foo/bar")
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found: Requested Flow is not found.")
    assert (await api.get("/api/v1/executions/nowhere")).status_code == 404
    assert (await api.get("/api/v1/other/executions/search")).status_code == 404
    assert (await api.get("/nothing/here")).json()["message"] == "Not Found"


async def test_labels_of_the_system_are_refused(api: httpx.AsyncClient, flow: None) -> None:
    assert (await api.post("/api/v1/executions/io.acme/hello?labels=system.x:1")).status_code == 422
    assert (await api.post("/api/v1/executions/io.acme/hello?labels=system.correlationId:1")).status_code == 200
    assert (await api.post("/api/v1/executions/io.acme/hello?labels=broken")).status_code == 422


async def test_executions_are_searched(api: httpx.AsyncClient, flow: None) -> None:
    for value in ("1", "2", "2"):
        await api.post(f"/api/v1/executions/io.acme/hello?labels=n:{value}&wait=true")
    assert (await api.get("/api/v1/executions/search?namespace=io&flowId=hello&size=2")).json()["total"] == 3
    assert (await api.get("/api/v1/executions/search?labels=n:2")).json()["total"] == 2
    assert (await api.get("/api/v1/executions/search", params={"filters[labels][$eq][n]": "1"})).json()["total"] == 1
    assert (await api.get("/api/v1/executions/search", params={"filters[state][IN]": "SUCCESS,FAILED", "filters[flowId][EQUALS]": "hello"})).json()[
        "total"
    ] == 3
    either = {"filters[or][0][labels][EQUALS][n]": "1", "filters[or][1][state][EQUALS]": "FAILED"}
    assert (await api.get("/api/v1/executions/search", params=either)).json()["total"] == 1
    assert (await api.get("/api/v1/executions?namespace=io.acme&flowId=hello")).json()["total"] == 3
    assert (await api.get("/api/v1/executions?namespace=io.acme")).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "size=-1",
        "size=1001",
        "timeRange=P1Y",
        "startDate=2024-01-02T00:00:00Z&endDate=2023-01-01T00:00:00Z",
        "state=NONSENSE",
        "sort=inputs:asc",
        "startDate=soon",
    ],
)
async def test_a_search_with_a_bad_argument_is_refused(api: httpx.AsyncClient, query: str) -> None:
    answer = await api.get(f"/api/v1/executions/search?{query}")
    assert (answer.status_code, answer.json()["message"].split(":")[0]) == (422, "Illegal argument")


async def test_a_time_range_and_a_start_exclude_each_other(api: httpx.AsyncClient) -> None:
    for query in (
        "startDate=2024-01-07T18:43:11.248%2B01:00&timeRange=PT12H",
        "filters[startDate][$eq]=2024-01-07T18:43:11.248%2B01:00&filters[timeRange][$eq]=PT12H",
    ):
        answer = await api.get(f"/api/v1/executions/search?{query}")
        assert answer.status_code == 422
        assert "are mutually exclusive" in answer.json()["message"]


async def test_health_tells_whether_flows_can_run(api: httpx.AsyncClient, open_site: Site) -> None:
    assert (await api.get("/health")).json() == {"status": "UP"}
    open_site.executor.workers.clear()
    open_site.app.state.health.asked = float("-inf")
    answer = await api.get("/health")
    assert (answer.status_code, answer.json()["reason"]) == (503, "no worker is up")


async def test_every_execution_is_named_before_it_is_asked_for(api: httpx.AsyncClient, open_site: Site, flow: None) -> None:
    ids = [(await api.post("/api/v1/executions/io.acme/hello")).json()["id"] for _ in range(2)]
    assert ids == [body["execution_id"] for method, body in open_site.executor.asked if method == "create_execution"]
    assert ids[0] != ids[1]


def blobs_of(site: Site) -> list[str]:
    return [path.name for path in site.blobs.drafts.parent.rglob("*") if path.is_file()]


async def test_the_bytes_of_a_refused_start_and_of_a_deleted_execution_are_gone(api: httpx.AsyncClient, open_site: Site, flow: None) -> None:
    needs = FLOW.replace("hello", "needs").replace("defaults: you", "required: true")
    await api.post("/api/v1/flows", content=needs, headers=YAML)
    assert (await api.post("/api/v1/executions/io.acme/needs", files={"doc": ("d", b"x")})).status_code == 422
    assert (await api.post("/api/v1/executions/io.acme/nothing", files={"doc": ("d", b"x")})).status_code == 404
    assert blobs_of(open_site) == []
    id = (await api.post("/api/v1/executions/io.acme/hello", files={"doc": ("d", b"x"), "unknown": ("u", b"y")})).json()["id"]
    assert len(blobs_of(open_site)) == 1
    await api.delete(f"/api/v1/executions/{id}")
    assert blobs_of(open_site) == []


async def test_a_flow_named_like_an_action_starts_over_the_long_path_only(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW.replace("hello", "pause"), headers=YAML)
    assert (await api.post("/api/v1/executions/io.acme/pause")).status_code == 404
    assert (await api.post("/api/v1/executions/trigger/io.acme/pause")).json()["flowId"] == "pause"
    for name in ("pauses", "kill-all", "state.x"):
        await api.post("/api/v1/flows", content=FLOW.replace("hello", name), headers=YAML)
        assert (await api.post(f"/api/v1/executions/io.acme/{name}")).json()["flowId"] == name


async def test_inputs_are_tried_without_starting_anything(api: httpx.AsyncClient, open_site: Site) -> None:
    await api.post("/api/v1/flows", content=FLOW.replace("- {id: name", "- {id: count, type: INT}\n  - {id: name"), headers=YAML)
    tried = await api.post("/api/v1/executions/io.acme/hello/validate", files={"count": (None, "many"), "doc": ("d", b"x")})
    found = {state["input"]["id"]: state for state in tried.json()["inputs"]}
    assert (found["name"]["value"], found["name"]["errors"]) == ("you", [])
    assert "count" in found["count"]["errors"][0]["message"]
    assert blobs_of(open_site) == []
    assert (await api.get("/api/v1/executions/search")).json()["total"] == 0
    assert (await api.post("/api/v1/executions/io.acme/none/validate")).status_code == 404
