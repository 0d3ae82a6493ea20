"""The SQL family on a real PostgreSQL server: values, transactions, parameters."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.contract.jdbc_site import QUERIES, TRIGGER, Ask, asker, row, run, until
from tests.contract.postgres_server import server


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server that is reached by the socket in its folder only."""
    with server() as found:
        yield found.replace("+psycopg", "")


@pytest.fixture
def asked(url: str) -> Ask:
    return asker(url)


@pytest.fixture
def ctx(tmp_path: Path, url: str) -> FakeContext:
    return FakeContext(tmp_path, {"url": url, "n": 40, "text": "it's"})


# --- what becomes of rows


def test_rows_become_outputs_or_a_stored_file_of_json_lines(ctx: FakeContext) -> None:
    sql = "select g as id, 'n' || g as name from generate_series(1, 3) g"
    rows = [{"id": number, "name": f"n{number}"} for number in (1, 2, 3)]
    assert run(ctx, sql, fetchType="FETCH") == run(ctx, sql, fetch=True) == {"rows": rows, "size": 3}
    assert run(ctx, sql, fetchType="FETCH_ONE") == run(ctx, sql, fetchOne=True) == {"row": rows[0], "size": 1}
    assert run(ctx, sql) == {}
    for properties in ({"fetchType": "STORE"}, {"store": True}, {"fetchType": "STORE", "fetchSize": 2}):
        stored = run(ctx, sql, **properties)
        assert stored["size"] == 3
        assert [json.loads(line) for line in ctx.files.text(stored["uri"]).splitlines()] == rows
    assert ctx.metrics[-1] == ("counter", "fetch.size", 3, {"fetch": "false", "store": "true"})
    assert list(ctx.working_dir().iterdir()) == []


def test_no_row_is_null_and_no_rows_are_none(ctx: FakeContext) -> None:
    nothing = "select 1 as a where false"
    assert run(ctx, nothing, fetchType="FETCH_ONE") == {"row": None, "size": 0}
    assert run(ctx, nothing, fetchType="FETCH") == {"rows": [], "size": 0}
    assert run(ctx, nothing, fetchType="STORE")["size"] == 0
    assert run(ctx, "create table if not exists t (i int)", fetchType="FETCH") == {}


def test_rows_of_a_statement_that_writes_are_given_too(ctx: FakeContext) -> None:
    run(ctx, "create table if not exists returning_rows (i int)")
    for fetching in ("FETCH", "STORE"):
        assert run(ctx, "insert into returning_rows values (1), (2) returning i", fetchType=fetching)["size"] == 2
    assert run(ctx, "with gone as (delete from returning_rows returning i) select count(*) as n from gone", fetchType="FETCH")["rows"] == [{"n": 4}]


def test_every_type_has_its_json(ctx: FakeContext) -> None:
    found = row(
        ctx,
        """select null as "null", true as bool, 32767::int2 as small, 9223372036854775807 as big, 1.5::float4 as real, 'NaN'::float8 as nan,
        2147483645.1234::numeric as number, 12.50::numeric(9, 2) as money, 12345678901234567890.123456789 as exact, 7::numeric as whole,
        date '2030-12-25' as date, time '04:05:30' as time, timetz '13:05:06+02' as timetz, timestamp '2004-10-19 10:23:54.999999' as moment,
        timestamptz '2004-10-19 10:23:54.25+02' as instant, interval '10 years 4 months 5 days 10 seconds' as length, interval '0' as no_length,
        array[100, 200, null] as list, array[['meeting', 'lunch'], ['training', 'x']] as lists, array[timestamptz '2004-10-19 10:23:54+02'] as instants,
        '{"color": "red", "n": [1, 2.5, null]}'::json as json, '[{"a": 1}]'::jsonb as jsonb, '\\xDEADBEEF'::bytea as bytes,
        '3f9a3a1e-0000-4000-8000-000000000001'::uuid as uuid, 'infinity'::timestamptz as always, date '20000-01-01' as far, pg_sleep(0) as void,
        int4range(1, 5) as range, inet '10.0.0.1/8' as inet, B'101' as bits, 'mood'::name as name""",
    )
    assert found == {
        "null": None, "bool": True, "small": 32767, "big": 9223372036854775807, "real": 1.5, "nan": "NaN",
        "number": 2147483645.1234, "money": 12.5, "exact": "12345678901234567890.123456789", "whole": 7,
        "date": "2030-12-25", "time": "04:05:30", "timetz": "13:05:06+02:00", "moment": "2004-10-19T10:23:54.999999",
        "instant": "2004-10-19T08:23:54.250Z", "length": "P10Y4M5DT10S", "no_length": "PT0S",
        "list": [100, 200, None], "lists": [["meeting", "lunch"], ["training", "x"]], "instants": ["2004-10-19T08:23:54Z"],
        "json": {"color": "red", "n": [1, 2.5, None]}, "jsonb": [{"a": 1}], "bytes": "3q2+7w==",
        "uuid": "3f9a3a1e-0000-4000-8000-000000000001", "always": "infinity", "far": "20000-01-01", "void": None,
        "range": "[1,5)", "inet": "10.0.0.1/8", "bits": "101", "name": "mood",
    }  # fmt: skip


def test_moments_are_told_in_the_zone_asked_for_and_the_session_has_it(ctx: FakeContext) -> None:
    sql = "select timestamptz '2004-10-19 10:23:54.25+02' as at, '2004-10-19 10:23'::timestamptz as bare"
    assert row(ctx, sql, timeZoneId="America/New_York") == {"at": "2004-10-19T04:23:54.250-04:00", "bare": "2004-10-19T10:23:00-04:00"}
    with pytest.raises(TaskFailed, match="timeZoneId: there is no time zone `Mars`"):
        row(ctx, sql, timeZoneId="Mars")


def test_notices_of_the_server_are_logged(ctx: FakeContext) -> None:
    run(ctx, "do $$ begin raise notice 'hello %', 1; end $$")
    assert [message for _, message in ctx.logger.lines] == ["NOTICE: hello 1"]


# --- parameters


def test_parameters_are_bound_with_their_types(ctx: FakeContext) -> None:
    parameters = {"a": "{{ n }}", "b": 2, "text": "{{ text }}", "list": [1, 2], "map": {"k": [1]}, "none": None, "no": False}
    sql = "select :a + :b as sum, :text as text, 2 = any(:list) as has, (:map)::jsonb as map, :none::int as none, :no as no, '%' as percent, ':b' as quoted"
    assert row(ctx, sql, parameters=parameters) == {
        "sum": 42, "text": "it's", "has": True, "map": {"k": [1]}, "none": None, "no": False, "percent": "%", "quoted": ":b",
    }  # fmt: skip


@pytest.mark.parametrize(
    "attack",
    [
        "'; drop table victims; --",
        "x' or '1'='1",
        "x\\'; drop table victims; --",
        "$$; drop table victims; $$",
        "%s %(a)s %%",
        ":a ::b",
        "\u02bc or 1=1",
        "a\tb\n",
    ],
)
def test_a_value_stays_a_value_whatever_is_in_it(ctx: FakeContext, asked: Ask, attack: str) -> None:
    asked("create table if not exists victims (name text)")
    asked("delete from victims")
    run(ctx, "insert into victims values (:name)", parameters={"name": attack})
    assert row(ctx, "select name, count(*) over () as n from victims where name = :name", parameters={"name": attack}) == {"name": attack, "n": 1}
    assert run(ctx, "select 1 from victims where name = :name", parameters={"name": attack + "x"}, fetchType="FETCH")["size"] == 0
    ctx.variables["attack"] = attack
    assert row(ctx, "select :name as name", parameters={"name": "{{ attack }}"}) == {"name": attack}


def test_a_text_that_no_database_can_hold_fails_and_says_so(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="NUL"):
        run(ctx, "select :a", parameters={"a": "a\0b"})


# --- statements and transactions


def test_query_takes_one_statement(ctx: FakeContext) -> None:
    assert row(ctx, "-- first\nselect 1 as a; -- last") == {"a": 1}
    for sql, count in (("select 1; select 2", 2), (" -- nothing", 0)):
        with pytest.raises(TaskFailed, match=f"one SQL statement belongs here, and there are {count}"):
            run(ctx, sql)


def test_query_may_run_what_no_transaction_may(ctx: FakeContext) -> None:
    assert run(ctx, "vacuum") == {}
    with pytest.raises(TaskFailed, match="cannot run inside a transaction block"):
        run(ctx, "vacuum", autoCommit=False)


def test_queries_give_one_output_for_each_statement_with_rows(ctx: FakeContext) -> None:
    sql = """create table animals (name text); insert into animals values ('cat'), ('dog');
        select count(*) as n from animals; insert into animals values ('owl') returning name; -- a comment
        select name from animals where name > :least order by name;"""
    found = run(ctx, sql, QUERIES, fetchType="FETCH", parameters={"least": "cat"})
    assert found == {
        "outputs": [{"rows": [{"n": 2}], "size": 1}, {"rows": [{"name": "owl"}], "size": 1}, {"rows": [{"name": "dog"}, {"name": "owl"}], "size": 2}]
    }
    assert [one["size"] for one in run(ctx, "select 1 as a; select 2 as a where false", QUERIES, fetchType="STORE")["outputs"]] == [1, 0]


@pytest.mark.parametrize(("transaction", "kept"), [(True, 0), (False, 2)])
def test_queries_are_done_all_or_none_unless_each_is_its_own_transaction(ctx: FakeContext, asked: Ask, transaction: bool, kept: int) -> None:
    asked("drop table if exists kept; create table kept (i int)")
    sql = "insert into kept values (1); select * from kept; insert into kept values (2); insert into kept values ('x'); insert into kept values (3)"
    with pytest.raises(TaskFailed, match=r"statement 4 of 5: SQL failed: invalid input syntax for type integer: .x.[\s\S]*SQLSTATE 22P02"):
        run(ctx, sql, QUERIES, transaction=transaction, fetchType="FETCH")
    assert asked("select count(*) from kept") == [(kept,)]


def test_what_comes_after_is_in_the_same_transaction(ctx: FakeContext, asked: Ask) -> None:
    asked("drop table if exists jobs; create table jobs (i int); insert into jobs values (1), (2)")
    assert run(ctx, "select i from jobs", fetchType="FETCH", afterSQL="delete from jobs where i < :most", parameters={"most": 2})["size"] == 2
    assert asked("select i from jobs") == [(2,)]
    with pytest.raises(TaskFailed, match="division by zero"):
        run(ctx, "insert into jobs values (3) returning i", fetchType="FETCH", afterSQL="select 1 / 0")
    assert asked("select i from jobs") == [(2,)]


# --- the trigger


def test_a_trigger_fires_when_there_is_a_row_with_what_it_found(ctx: FakeContext, asked: Ask) -> None:
    asked("drop table if exists events; create table events (i int)")
    assert run(ctx, "select * from events", TRIGGER, fetchType="FETCH") is None
    asked("insert into events values (1), (2)")
    assert run(ctx, "select * from events", TRIGGER, fetchType="FETCH") == {"rows": [{"i": 1}, {"i": 2}], "size": 2}
    assert run(ctx, "select * from events", TRIGGER, fetchOne=True) == {"row": {"i": 1}, "size": 1}
    assert run(ctx, "select * from events", TRIGGER) == {"size": 2}
    stored = run(ctx, "select * from events", TRIGGER, fetchType="STORE")
    assert (stored["size"], ctx.files.text(stored["uri"])) == (2, '{"i":1}\n{"i":2}\n')
    assert run(ctx, "delete from events where false", TRIGGER) is None


def test_what_a_trigger_does_after_touches_no_row_that_it_has_not_seen(ctx: FakeContext, asked: Ask, url: str) -> None:
    asked("drop table if exists inbox; create table inbox (i int, taken bool default false); insert into inbox values (1)")
    found: list[Any] = []
    sql, after = "select i, pg_advisory_xact_lock(7) from inbox where not taken", "update inbox set taken = true where not taken"
    look = threading.Thread(target=lambda: found.append(run(ctx, sql, TRIGGER, fetchType="FETCH", afterSQL=after)))
    with psycopg.connect(url) as holder:
        holder.execute("select pg_advisory_xact_lock(7)")
        look.start()
        until(lambda: asked("select 1 from pg_locks where locktype = 'advisory' and not granted"))
        asked("insert into inbox values (2)")
    look.join()
    assert [one["i"] for one in found[0]["rows"]] == [1]
    assert asked("select i from inbox where not taken") == [(2,)]


def test_a_trigger_without_rows_does_nothing_after(ctx: FakeContext, asked: Ask) -> None:
    asked("drop table if exists untouched; create table untouched (i int); insert into untouched values (1)")
    assert run(ctx, "select 1 where false", TRIGGER, fetchType="FETCH", afterSQL="delete from untouched") is None
    assert asked("select i from untouched") == [(1,)]


def test_a_failure_tells_the_database_s_words_and_never_the_values(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match=r'(?s)SQL failed: column "nope" does not exist.*LINE 1.*SQLSTATE 42703') as told:
        run(ctx, "select nope where :a = 'x'", parameters={"a": "hunter2"})
    assert "hunter2" not in str(told.value)


@pytest.mark.alone
def test_memory_stays_flat_while_a_large_result_is_stored(url: str, tmp_path: Path) -> None:
    program = """
import resource, sys
from pathlib import Path
from orchestrator import registry
from orchestrator.sdk.fakes import FakeContext
task = registry.load("task", "jdbc.postgresql.Query").model_validate({"id": "t", "type": "x", "url": sys.argv[1], "sql": sys.argv[2], "fetchType": "STORE"})
ctx = FakeContext(Path(sys.argv[3]))
ctx.files.put = lambda source, name: "kestra:///x"  # the fake one's memory is not in question
print(task.run(ctx)["size"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""

    def measured(count: int) -> tuple[int, int]:
        sql = f"select g as id, repeat('x', 100) as text, now() as at from generate_series(1, {count}) g"
        done = subprocess.run([sys.executable, "-c", program, url, sql, str(tmp_path)], capture_output=True, text=True, check=True)
        size, mib = done.stdout.split()
        return int(size), int(mib)

    (small, little), (large, much) = measured(20_000), measured(300_000)
    assert (small, large) == (20_000, 300_000)
    assert much - little < 30, (little, much)
