from __future__ import annotations

import io
import json
import zipfile

import httpx
import pytest
from api_site import FLOW, YAML, Site

pytestmark = pytest.mark.anyio
KV = "/api/v1/namespaces/io.acme/kv"
FILES = "/api/v1/namespaces/io.acme/files"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('{"hello":"world"}', "JSON", {"hello": "world"}),
        ('"hello"', "STRING", "hello"),
        ("1", "NUMBER", 1),
        ("1.0", "NUMBER", 1.0),
        ("false", "BOOLEAN", False),
        ("2021-09-01", "DATE", "2021-09-01"),
        ("2021-09-01T01:02:03Z", "DATETIME", "2021-09-01T01:02:03Z"),
        ('"PT5S"', "DURATION", "PT5S"),
        ('"20240101"', "STRING", "20240101"),
        ("null", "JSON", None),
    ],
)
async def test_a_value_comes_back_with_its_type(api: httpx.AsyncClient, text: str, kind: str, value: object) -> None:
    assert (await api.put(f"{KV}/my-key", content=text, headers={"Content-Type": "text/plain", "ttl": "PT5M"})).status_code == 200
    assert (await api.get(f"{KV}/my-key")).json() == {"type": kind, "value": value}


async def test_keys_are_listed_and_deleted(api: httpx.AsyncClient) -> None:
    await api.put(f"{KV}/a", content="1", headers={"ttl": "PT5M", "description": "first"})
    await api.put(f"{KV}/b", content="1")
    listed = (await api.get(KV)).json()
    assert [(entry["key"], entry.get("description"), "expirationDate" in entry) for entry in listed] == [("a", "first", True), ("b", None, False)]
    assert (await api.delete(f"{KV}/a")).json() is True
    assert (await api.delete(f"{KV}/a")).json() is False
    assert (await api.request("DELETE", KV, json={"keys": ["b", "c"]})).json() == {"keys": ["b"]}
    missing = await api.get(f"{KV}/a")
    assert (missing.status_code, missing.json()["message"]) == (404, "Not Found: No value found for key 'a' in namespace 'io.acme'")


async def test_keys_of_the_namespaces_above_are_inherited(api: httpx.AsyncClient) -> None:
    await api.put("/api/v1/namespaces/io/kv/up", content="1")
    await api.put(f"{KV}/own", content="1")
    assert {entry["key"] for entry in (await api.get(f"{KV}/inheritance")).json()} == {"up", "own"}
    assert (await api.get("/api/v1/kv?size=1")).json()["total"] == 2


@pytest.mark.parametrize(("key", "text", "ttl"), [("bad$key", "1", None), ("k", "not json", None), ("k", "1", "soon"), ("k", "1", "-PT5S")])
async def test_a_bad_key_value_or_life_is_refused(api: httpx.AsyncClient, key: str, text: str, ttl: str | None) -> None:
    answer = await api.put(f"{KV}/{key}", content=text, headers={"ttl": ttl} if ttl else {})
    assert (answer.status_code, answer.json()["message"].startswith("Illegal argument: ")) == (422, True)


async def test_an_expired_value_is_told_once_and_then_forgotten(api: httpx.AsyncClient, open_site: Site) -> None:
    await api.put(f"{KV}/k", content="1", headers={"ttl": "PT0.000001S"})
    answer = await api.get(f"{KV}/k")
    assert (answer.status_code, answer.json()["message"].startswith("Resource has expired: ")) == (410, True)
    assert (await api.get(f"{KV}/k")).status_code == 404
    assert (await api.get(KV)).json() == []


async def test_namespaces_are_those_of_flows_and_all_above_them(api: httpx.AsyncClient) -> None:
    await api.post("/api/v1/flows", content=FLOW.replace("io.acme", "my.ns.flow"), headers=YAML)
    assert [found["id"] for found in (await api.get("/api/v1/namespaces/search?q=my&size=2&sort=id:desc")).json()["results"]] == ["my.ns.flow", "my.ns"]
    assert (await api.get("/api/v1/namespaces/search?q=my")).json()["total"] == 3
    assert "system" in [found["id"] for found in (await api.get("/api/v1/namespaces/search?size=1000")).json()["results"]]
    assert (await api.get("/api/v1/namespaces/any.one")).json()["id"] == "any.one"
    assert (await api.post("/api/v1/namespaces/autocomplete", json={"q": "flow"})).json() == ["my.ns.flow"]


async def put(api: httpx.AsyncClient, path: str, content: bytes = b"x", name: str = "file") -> httpx.Response:
    return await api.post(FILES, params={"path": path}, files={"fileContent": (name, content)})


async def test_a_namespace_file_is_put_read_listed_moved_and_deleted(api: httpx.AsyncClient, open_site: Site) -> None:
    assert (await put(api, "/folder/sub/a.txt", b"Hello")).status_code == 200
    assert (await api.get(FILES, params={"path": "folder/sub/a.txt"})).content == b"Hello"
    await put(api, "/folder/sub/a.txt", b"Hello again")
    stats = (await api.get(f"{FILES}/stats?path=/folder/sub/a.txt")).json()
    assert (stats["fileName"], stats["type"], stats["size"]) == ("a.txt", "File", 11)
    assert [(found["fileName"], found["type"]) for found in (await api.get(f"{FILES}/directory")).json()] == [("folder", "Directory")]
    assert (await api.get(f"{FILES}/search?q=a.txt")).json() == ["/folder/sub/a.txt"]
    assert (await api.put(FILES, params={"from": "/folder/sub/a.txt", "to": "/b.txt"})).status_code == 200
    assert (await api.get(FILES, params={"path": "/b.txt"})).content == b"Hello again"
    assert (await api.get(FILES, params={"path": "/folder/sub/a.txt"})).status_code == 404
    assert (await api.delete(FILES, params={"path": "/b.txt"})).status_code == 200
    assert not [path for path in open_site.blobs.drafts.parent.rglob("*") if path.is_file()]


async def test_folders_left_empty_go_with_their_last_file(api: httpx.AsyncClient) -> None:
    await put(api, "/folder/sub/a.txt")
    await api.delete(FILES, params={"path": "/folder/sub/a.txt"})
    assert (await api.get(f"{FILES}/directory")).json() == []


async def test_a_folder_is_made_and_stays(api: httpx.AsyncClient) -> None:
    assert (await api.post(f"{FILES}/directory?path=/one")).status_code == 200
    await put(api, "/one/a.txt")
    await api.post(f"{FILES}/directory?path=/one")
    assert [found["fileName"] for found in (await api.get(f"{FILES}/directory?path=/one")).json()] == ["a.txt"]
    assert (await put(api, "/one")).status_code == 422


@pytest.mark.parametrize("path", ["/_flows", "/_flows/a.yml", "/a/../../b", "/a\x00b"])
async def test_a_path_that_may_not_be_is_refused(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(FILES, params={"path": path})).status_code == 422
    assert (await api.delete(FILES, params={"path": path})).status_code == 422
    assert (await api.put(FILES, params={"from": "/a", "to": path})).status_code == 422


async def test_an_archive_is_unpacked_and_exported(api: httpx.AsyncClient) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("a.txt", "A")
        archive.writestr("d/b.txt", "B")
        archive.writestr("_flows/hello.yml", FLOW.replace("io.acme", "elsewhere"))
    assert (await put(api, "/x", held.getvalue(), "all.zip")).status_code == 200
    assert (await api.get(FILES, params={"path": "/d/b.txt"})).content == b"B"
    assert (await api.get("/api/v1/flows/io.acme/hello")).status_code == 200
    exported = zipfile.ZipFile(io.BytesIO((await api.get(f"{FILES}/export")).content))
    assert sorted(exported.namelist()) == ["_flows/hello.yml", "a.txt", "d/b.txt"]
    assert (await put(api, "/x", b"no archive", "all.zip")).status_code == 422
    climbing = io.BytesIO()
    with zipfile.ZipFile(climbing, "w") as archive:
        archive.writestr("../up.txt", "A")
    assert (await put(api, "/x", climbing.getvalue(), "all.zip")).status_code == 422


async def test_a_file_put_under_flows_becomes_a_flow_of_the_namespace(api: httpx.AsyncClient) -> None:
    assert (await put(api, "/_flows/hello.yml", FLOW.replace("io.acme", "other").encode())).status_code == 200
    assert "namespace: io.acme" in (await api.get("/api/v1/flows/io.acme/hello?source=true")).json()["source"]


async def test_flows_are_switched_exported_imported_and_deleted_together(api: httpx.AsyncClient) -> None:
    ids = [{"id": id, "namespace": "io.acme"} for id in ("a", "b")]
    text = "\n---\n".join(FLOW.replace("hello", id["id"]) for id in ids)
    assert (await api.post("/api/v1/flows/import", files={"fileUpload": ("flows.yml", text.encode())})).json() == []
    assert (await api.post("/api/v1/flows/disable/by-ids", json=ids)).json() == {"count": 2}
    assert (await api.post("/api/v1/flows/disable/by-ids", json=ids)).json() == {"count": 0}
    assert (await api.get("/api/v1/flows/io.acme/a")).json()["disabled"] is True
    assert (await api.post("/api/v1/executions/io.acme/a")).status_code == 409
    assert (await api.post("/api/v1/flows/enable/by-query?namespace=io.acme")).json() == {"count": 2}
    exported = await api.get("/api/v1/flows/export/by-query?namespace=io.acme")
    assert sorted(zipfile.ZipFile(io.BytesIO(exported.content)).namelist()) == ["io.acme.a.yml", "io.acme.b.yml"]
    assert (await api.request("DELETE", "/api/v1/flows/delete/by-ids", content=json.dumps(ids))).json() == {"count": 2}
    assert (await api.get("/api/v1/flows/io.acme")).json() == []
