"""The case that worker groups exist for: a database that only one machine reaches, and flows that query it from there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from tests.conftest import missing
from tests.contract import postgres_server
from tests.integration.far_machine import able, far_machine
from tests.integration.local_server import LocalServer, eventually, joined_worker, local_server

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]
TOKEN = "beyond"
GROUP = "onprem"
PORT = 5432  # on the far machine's own loopback
QUERY = """
id: {id}
namespace: {namespace}
tasks:
  - id: ask
    type: io.kestra.plugin.jdbc.postgresql.Query
    url: {url}
    username: tester
    sql: SELECT name FROM machines ORDER BY id
    fetchType: FETCH
{group}
"""
WATCH = """
id: watch
namespace: beyond
triggers:
  - id: new
    type: io.kestra.plugin.jdbc.postgresql.Trigger
    url: {url}
    username: tester
    interval: PT1S
    sql: SELECT id, name FROM machines WHERE NOT seen
    afterSQL: UPDATE machines SET seen = true
    fetchType: FETCH
    workerGroup: {{key: onprem}}
tasks:
  - {{id: tell, type: io.kestra.plugin.core.debug.Return, format: "{{{{ trigger.rows[0].name }}}}"}}
"""


@dataclass(frozen=True)
class Site:
    """A server, and beyond it a machine with a worker and a database that listens on that machine's own loopback."""

    server: LocalServer
    url: str
    sql: Callable[[str], None]  # runs a statement by the socket file of the database, as its own machine could

    def ask(self, name: str, *, namespace: str = "beyond", group: str = "") -> Any:
        key = f"    workerGroup: {{key: {group}}}" if group else ""
        return self.server.execute(self.server.flow(QUERY.format(id=name, namespace=namespace, url=self.url, group=key)), wait=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not able():
        missing("root and iproute2, for a machine of its own network")
    folder = tmp_path_factory.mktemp("beyond")
    with ExitStack() as stack:
        machine = stack.enter_context(far_machine())
        database = create_engine(stack.enter_context(postgres_server.server(listen=PORT, wrap=machine.wrap)), poolclass=NullPool)

        def sql(statement: str) -> None:
            with database.begin() as connection:
                connection.execute(text(statement))

        sql("CREATE TABLE machines (id serial, name text, seen boolean DEFAULT true)")
        sql("INSERT INTO machines (name) VALUES ('lathe'), ('press')")
        server = stack.enter_context(local_server(folder, environ={"ORCHESTRATOR_HOST": "0.0.0.0"}, token=TOKEN))
        stack.enter_context(joined_worker(server, GROUP, folder, wrap=machine.wrap, url=f"http://{machine.gateway}:{server.port}"))
        yield Site(server, f"jdbc:postgresql://127.0.0.1:{PORT}/postgres", sql)


def test_the_query_works_on_the_group_that_reaches_the_database(site: Site) -> None:
    done = site.ask("on-group", group=GROUP)
    assert done["state"]["current"] == "SUCCESS", site.server.logs(done["id"])
    assert [row["name"] for row in done["taskRunList"][0]["outputs"]["rows"]] == ["lathe", "press"]


def test_the_same_flow_on_the_default_group_fails_and_says_what_it_could_not_reach(site: Site) -> None:
    done = site.ask("on-default")
    assert done["state"]["current"] == "FAILED"
    said = done["taskRunList"][0]["error"]
    assert "127.0.0.1" in said
    assert "worker" in said


def test_one_namespace_default_moves_it_there(site: Site) -> None:
    site.server.call("PUT", "/api/v1/namespaces/beyond.plant/defaults", {"workerGroup": {"key": GROUP}})
    done = site.ask("by-default", namespace="beyond.plant.hall")
    assert done["state"]["current"] == "SUCCESS", site.server.logs(done["id"])
    assert (done["taskRunList"][0]["placement"]["askedAt"], done["taskRunList"][0]["placement"]["group"]) == ("namespace", GROUP)


def test_the_trigger_looks_from_the_group_and_starts_one_execution_for_each_finding(site: Site) -> None:
    namespace, flow = site.server.flow(WATCH.format(url=site.url))
    site.sql("INSERT INTO machines (name, seen) VALUES ('mill', false)")

    def found() -> Any:
        return site.server.call("GET", f"/api/v1/executions?namespace={namespace}&flowId={flow}")["results"]

    first = eventually(found, within=30, what="the trigger has fired")
    done = site.server.ended(first[0]["id"])
    assert (done["taskRunList"][0]["outputs"]["value"], done["trigger"]["id"]) == ("mill", "new")
    site.sql("INSERT INTO machines (name, seen) VALUES ('saw', false)")
    eventually(lambda: len(found()) == 2, within=30, what="it has fired again")
