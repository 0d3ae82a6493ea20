"""Isolated tasks through a real server: SQL from a worker's child processes, killed, and gone with their worker."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.contract import postgres_server
from tests.integration.local_server import LocalServer, eventually, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

PAGE = Path(__file__).resolve().parents[2] / "docs/sql.md"
SECRET = "hunter2-hunter2"
SHOP = """
id: shop
namespace: isolated
inputs:
  - {id: least, type: INT}
tasks:
  - id: keep
    type: io.kestra.plugin.core.kv.Set
    key: state
    value: open
  - id: fill
    type: io.kestra.plugin.jdbc.sqlite.Queries
    url: jdbc:sqlite:shop.db
    outputDbFile: true
    sql: |
      CREATE TABLE orders (id INTEGER, state TEXT, price REAL);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
      INSERT INTO orders SELECT i, CASE WHEN i % 2 THEN 'open' ELSE 'sent' END, i * 1.5 FROM n;
  - id: store
    type: io.kestra.plugin.jdbc.sqlite.Query
    url: jdbc:sqlite:shop.db
    sqliteFile: "{{ outputs.fill.databaseUri }}"
    sql: SELECT * FROM orders WHERE state = :state AND price > :least ORDER BY id
    parameters: {state: "{{ kv('state') }}", least: "{{ inputs.least }}"}
    fetchType: STORE
  - id: dear
    type: io.kestra.plugin.core.storage.FilterItems
    from: "{{ outputs.store.uri }}"
    filterCondition: "{{ price > 1400 }}"
  - id: secret
    type: io.kestra.plugin.jdbc.sqlite.Query
    url: "jdbc:sqlite::memory:"
    sql: SELECT a FROM nowhere WHERE x = '{{ secret('DB') }}'
    allowFailure: true
"""
ENDLESS = """
id: endless
namespace: isolated
tasks:
  - id: query
    type: io.kestra.plugin.jdbc.sqlite.Query
    url: "jdbc:sqlite::memory:"
    sql: WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n
    {more}
"""
POSTGRES = """
id: postgres
namespace: isolated
tasks:
  - id: all
    type: io.kestra.plugin.jdbc.postgresql.Query
    url: "{url}"
    sql: SELECT g AS id, 'name ' || g AS name FROM generate_series(1, 5000) g
    fetchType: STORE
  - id: rows
    type: io.kestra.plugin.jdbc.postgresql.Queries
    url: "{url}"
    sql: CREATE TABLE t (v TEXT); INSERT INTO t VALUES (:v), (:size::text); SELECT v FROM t ORDER BY v;
    parameters: {{v: "it's", size: "{{{{ outputs.all.size }}}}"}}
    fetchType: FETCH
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("isolated")
    environ = {"SECRET_DB": base64.b64encode(SECRET.encode()).decode(), "ORCHESTRATOR_WORKER_FOLDER": str(folder / "work")}
    with local_server(folder, environ=environ) as found:
        yield found


def children(server: LocalServer) -> list[psutil.Process]:
    """What runs isolated on it now: it begins in the folder of its worker."""
    found = [one for one in psutil.process_iter(["name", "cwd"]) if one.info["name"] == "isolated"]
    return [one for one in found if (one.info["cwd"] or "").startswith(str(server.data.parent / "work"))]


def test_files_keys_inputs_and_secrets_reach_a_child_and_its_rows_reach_other_tasks(server: LocalServer) -> None:
    ended = server.execute(server.flow(SHOP), wait=True, inputs={"least": "3"})
    runs = {run["taskId"]: run for run in ended["taskRunList"]}
    assert {name: run["state"]["current"] for name, run in runs.items()} == {
        "keep": "SUCCESS", "fill": "SUCCESS", "store": "SUCCESS", "dear": "SUCCESS", "secret": "WARNING",
    }, server.logs(ended["id"])  # fmt: skip
    assert runs["store"]["outputs"]["size"] == 499
    assert (runs["dear"]["outputs"]["processedItemsTotal"], runs["dear"]["outputs"]["droppedItemsTotal"]) == (499, 466)
    text = json.dumps([ended, server.logs(ended["id"])])
    assert "no such table: nowhere" in text
    assert SECRET not in text
    eventually(lambda: not children(server), within=5, what="no child is left")


def test_the_report_of_the_page_on_sql_comes_out_as_it_says(server: LocalServer) -> None:
    (flow,) = (text for text in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL) if text.startswith("id: report"))
    done = server.execute(server.flow(flow), wait=True)
    assert done["state"]["current"] == "SUCCESS", server.logs(done["id"])
    assert "shop,total\nLima,5\nOslo,7\n" in server.logs(done["id"])


def test_a_killed_query_is_gone_when_it_is_shown_killed(server: LocalServer) -> None:
    execution = server.execute(server.flow(ENDLESS.format(more="")))["id"]
    (child,) = eventually(lambda: children(server), within=20, what="the query runs")
    began = time.monotonic()
    server.call("DELETE", f"/api/v1/executions/{execution}/kill", raw=True)
    ended = server.ended(execution)
    took = time.monotonic() - began
    assert (ended["state"]["current"], child.is_running()) == ("KILLED", False)
    assert took < 2.0


def test_a_query_that_outlasts_its_timeout_is_ended(server: LocalServer) -> None:
    ended = server.execute(server.flow(ENDLESS.format(more="timeout: PT1S").replace("id: endless", "id: limited")), wait=True)
    assert ended["state"]["current"] == "FAILED"
    assert 1.0 <= _seconds(ended["state"]["duration"]) < 3.0
    assert not children(server)


def _seconds(duration: str) -> float:
    return float(duration.removeprefix("PT").removesuffix("S"))


def test_a_database_behind_a_socket_file_is_queried(server: LocalServer) -> None:
    with postgres_server.server() as found:
        ended = server.execute(server.flow(POSTGRES.format(url=found.replace("+psycopg", ""))), wait=True)
    assert ended["state"]["current"] == "SUCCESS", server.logs(ended["id"])
    assert ended["taskRunList"][0]["outputs"]["size"] == 5000
    assert ended["taskRunList"][1]["outputs"]["outputs"] == [{"rows": [{"v": "5000"}, {"v": "it's"}], "size": 2}]


def test_a_killed_worker_takes_its_children_along_and_their_work_goes_on_elsewhere(server: LocalServer, tmp_path: Path) -> None:
    execution = server.execute(server.flow(ENDLESS.format(more="").replace("id: endless", "id: lost")))["id"]
    (child,) = eventually(lambda: children(server), within=20, what="the query runs")
    server.kill_worker()
    eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, within=2, what="the child is gone with its worker")
    eventually(lambda: [one for one in children(server) if one.pid != child.pid], within=30, what="the query runs again")
    server.call("DELETE", f"/api/v1/executions/{execution}/kill", raw=True)
    assert server.ended(execution)["state"]["current"] == "KILLED"
    assert not children(server)
