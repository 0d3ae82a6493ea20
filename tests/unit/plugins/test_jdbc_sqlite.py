"""The SQL family on SQLite, and without the libraries of other databases."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.unit.runtime.isolated_tasks import recipe
from tests.unit.runtime.worker_house import House

QUERY, QUERIES, TRIGGER = (f"io.kestra.plugin.jdbc.sqlite.{name}" for name in ("Query", "Queries", "Trigger"))
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


@pytest.fixture
def ctx(tmp_path: Path) -> FakeContext:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.executescript(
            "create table items (id integer, name text, price real, data blob); insert into items values (1, 'it''s', 1.5, x'DEAD'), (2, null, 2, null)"
        )
    connection.close()
    return FakeContext(tmp_path, {"url": f"jdbc:sqlite:{tmp_path}/shop.db"})


def run(ctx: FakeContext, sql: str, kind: str = QUERY, **properties: Any) -> Any:
    made = registry.load("trigger" if kind == TRIGGER else "task", kind)
    task = made.model_validate({"id": "t", "type": kind, "url": "{{ url }}", "sql": sql, **properties})
    return task.evaluate(ctx) if kind == TRIGGER else task.run(ctx)


ROWS = [{"id": 1, "name": "it's", "price": 1.5, "data": "3q0="}, {"id": 2, "name": None, "price": 2.0, "data": None}]


def test_rows_become_outputs_or_a_stored_file(ctx: FakeContext) -> None:
    assert run(ctx, "select * from items", fetchType="FETCH") == {"rows": ROWS, "size": 2}
    assert run(ctx, "select * from items", fetchType="FETCH_ONE") == {"row": ROWS[0], "size": 1}
    stored = run(ctx, "select * from items", fetchType="STORE", fetchSize=1)
    assert [json.loads(line) for line in ctx.files.text(stored["uri"]).splitlines()] == ROWS
    assert run(ctx, "select * from items") == {}


def test_parameters_are_bound(ctx: FakeContext) -> None:
    found = run(ctx, "select id from items where name = :name and '%' = '%'", parameters={"name": "it's"}, fetchType="FETCH")
    assert found["rows"] == [{"id": 1}]
    assert run(ctx, "select 1 from items where name = :name", parameters={"name": "x' or '1'='1"}, fetchType="FETCH")["size"] == 0
    assert run(ctx, "select json_extract(:map, '$.a[1]') as v", parameters={"map": {"a": [1, 2]}}, fetchOne=True)["row"] == {"v": 2}


def test_queries_are_all_or_none_also_for_tables(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="statement 3 of 3: SQL failed: no such table: nowhere"):
        run(ctx, "create table more (i); insert into items values (3, 'x', 1, null); insert into nowhere values (1)", QUERIES)
    assert run(ctx, "select count(*) as n from items; select name from sqlite_master", QUERIES, fetchType="FETCH") == {
        "outputs": [{"rows": [{"n": 2}], "size": 1}, {"rows": [{"name": "items"}], "size": 1}]
    }


def test_a_trigger_fires_once_when_it_marks_what_it_found(ctx: FakeContext) -> None:
    assert run(ctx, "select id from items", TRIGGER, fetchType="FETCH", afterSQL="delete from items") == {"rows": [{"id": 1}, {"id": 2}], "size": 2}
    assert run(ctx, "select id from items", TRIGGER, fetchType="FETCH", afterSQL="delete from items") is None


def test_a_stored_database_is_fetched_changed_and_kept(ctx: FakeContext, tmp_path: Path) -> None:
    uri = ctx.files.put(tmp_path / "shop.db", "shop.db")
    found = run(ctx, "delete from items where id = 1", url="jdbc:sqlite:mine/own.db", sqliteFile=uri, outputDbFile=True)
    ctx.files.fetch(found["databaseUri"], tmp_path / "kept.db")
    with sqlite3.connect(tmp_path / "kept.db") as connection:
        assert connection.execute("select id from items").fetchall() == [(2,)]
    connection.close()


@pytest.mark.parametrize("url", ["jdbc:sqlite::memory:", "sqlite://", "jdbc:sqlite:"])
def test_a_database_may_be_in_memory(ctx: FakeContext, url: str) -> None:
    assert run(ctx, "create table a (i); insert into a values (1); select * from a", QUERIES, url=url, fetchOne=True)["outputs"] == [
        {"row": {"i": 1}, "size": 1}
    ]


@pytest.mark.parametrize(
    ("url", "told"), [("jdbc:mysql:x", "must begin with jdbc:sqlite:"), ("jdbc:sqlite:../up.db", "up.db"), ("jdbc:sqlite:/nowhere/x.db", "unable to open")]
)
def test_an_address_that_cannot_be_used_says_why(ctx: FakeContext, url: str, told: str) -> None:
    with pytest.raises(Exception, match=told):
        run(ctx, "select 1", url=url)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "base", isolated_by=recipe(tmp_path / "base"))
    yield made
    made.worker.close()


@pytest.mark.alone
def test_a_stop_ends_an_endless_query_within_a_second(house: House) -> None:
    house.run({"type": QUERY, "url": "jdbc:sqlite::memory:", "sql": "select 1 as a", "fetchOne": True}, "warm-up")
    assert house.executor.outcome("warm-up")["outputs"]["row"] == {"a": 1}
    began = time.monotonic()
    house.run({"type": QUERY, "url": "jdbc:sqlite::memory:", "sql": ENDLESS}, timeout=0.5)
    assert house.executor.outcome()["cause"] == "TIMEOUT"
    assert time.monotonic() - began < 1.5


WITHOUT = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("psycopg", "sqlalchemy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
"""


def without_libraries(program: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", WITHOUT + program, str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_flows_are_checked_and_described_without_the_libraries(tmp_path: Path) -> None:
    program = """
from orchestrator import registry
names = [(kind, f"jdbc.{name}.{what}") for name in ("postgresql", "sqlite") for kind, what in (("task", "Query"), ("task", "Queries"), ("trigger", "Trigger"))]
kinds = [registry.load(*name) for name in names]
properties = {"id": "t", "type": "x", "url": "jdbc:postgresql://h/d", "sql": "select 1"}
loaded = {"psycopg", "sqlalchemy"} & set(sys.modules)
print(len([kind.model_json_schema() for kind in kinds]), kinds[0].model_validate(properties).fetch_type, loaded)
"""
    assert without_libraries(program, tmp_path) == "6 NONE set()"


def test_a_run_without_the_library_says_what_to_install(tmp_path: Path) -> None:
    program = """
from pathlib import Path
from orchestrator import registry
from orchestrator.sdk.fakes import FakeContext
task = registry.load("task", "jdbc.postgresql.Query").model_validate({"id": "t", "type": "x", "url": "jdbc:postgresql://h/d", "sql": "select 1"})
try:
    task.run(FakeContext(Path(sys.argv[1])))
except Exception as err:
    print(err)
"""
    assert without_libraries(program, tmp_path).endswith("not installed on this worker: pip install 'orchestrator[postgres]'")
