from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from api_site import FLOW, YAML, Site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from orchestrator.runtime.requests import CreateExecution
from orchestrator.server.app import ROUTERS

WORDS = st.one_of(
    st.sampled_from(["io.acme", "hello", "execution1", "by-ids", "k", "a\x00b", "..", "%", "é", "1" * 300]),
    st.text(min_size=1, max_size=8).filter(lambda t: "/" not in t),
)
NAMES = [
    "page",
    "size",
    "sort",
    "path",
    "from",
    "to",
    "q",
    "labels",
    "revision",
    "status",
    "newStatus",
    "state",
    "wait",
    "minLevel",
    "startDate",
    "timeRange",
    "namespace",
    "flowId",
]
VALUES = st.sampled_from(
    [
        "",
        "1",
        "-1",
        "9" * 30,
        "true",
        "SUCCESS",
        "a:b",
        ":",
        "id:desc",
        "/a",
        "/_flows/x.yml",
        "kestra:///a/b/executions/c/d",
        "2024-01-01T00:00:00Z",
        "P1D",
        "\x00",
        "io",
    ]
)
FILTERS = st.sampled_from(
    [
        "filters[labels][EQUALS][a]",
        "filters[state][IN]",
        "filters[or][0][and][1][q][EQUALS]",
        "filters[",
        "filters[a]",
        "filters[startDate][LESS_THAN]",
        "filters[q][IS_NULL]",
    ]
)
BODIES = st.sampled_from(
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"null",
        b'["x"]',
        b'[{"id":"hello","namespace":"io.acme"}]',
        b'{"expression": 3}',
        b'{"keys": 3}',
        FLOW.encode(),
        b"\xff\xfe",
        b"--b--\r\n",
    ]
)
KINDS = st.sampled_from(
    ["", "application/json", "application/x-yaml", "multipart/form-data; boundary=b", "multipart/form-data", "application/x-www-form-urlencoded"]
)


ROUTES = sorted(
    (method, route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, Route) and "follow" not in route.path
    for method in route.methods or ()
)


def test_every_route_is_asked_below() -> None:
    assert len(ROUTES) > 80


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_request_is_answered_as_our_own_fault(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    site = _site(tmp_path_factory)
    method, template = data.draw(st.sampled_from(ROUTES))
    path = re.sub(r"\{[^}]+\}", lambda _: quote(data.draw(WORDS), safe=""), template)
    query: Any = data.draw(st.lists(st.tuples(st.sampled_from(NAMES) | FILTERS, VALUES), max_size=3))
    execution = path.split("/")[5] if path.startswith("/api/v1/internal/runs/") else "execution1"
    headers = {"Authorization": f"Bearer {site.tokens.mint(execution, _FAR)}", "Content-Type": data.draw(KINDS)}

    async def ask() -> httpx.Response:
        async with site.client() as api:
            return await api.request(method, path, params=query, content=data.draw(BODIES), headers=headers)

    answer = anyio.run(ask)
    assert answer.status_code < 500, (method, path, query, answer.text)


_FAR = datetime(2999, 1, 1, tzinfo=UTC)
_sites: list[Site] = []


def _site(factory: pytest.TempPathFactory) -> Site:
    """One site for all examples, with a flow and an execution in it."""
    if not _sites:
        site = Site(factory.mktemp("site"))

        async def fill() -> None:
            async with site.client() as api:
                await api.post("/api/v1/flows", content=FLOW, headers=YAML)
                started = CreateExecution(namespace="io.acme", flow_id="hello", execution_id="execution1")
            await site.executor.client.create_execution(started)

        anyio.run(fill)
        _sites.append(site)
    return _sites[0]
