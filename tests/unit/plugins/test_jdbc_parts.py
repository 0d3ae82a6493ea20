"""What the SQL family does without a database: reads its text, its addresses and its values."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.lang.functions.printing import plain
from orchestrator.sdk import TaskFailed
from orchestrator_plugins.jdbc.address import address
from orchestrator_plugins.jdbc.cells import Cells
from orchestrator_plugins.jdbc.postgresql import SCHEMES, parameters
from orchestrator_plugins.jdbc.statements import Dialect, statements

POSTGRES = Dialect(dollars=True, nested_comments=True, escape_strings=True)
SQLITE = Dialect(identifiers="`[")


def texts(sql: str, dialect: Dialect = POSTGRES) -> list[str]:
    return [statement.text for statement in statements(sql, dialect)]


@pytest.mark.parametrize(
    ("sql", "parts"),
    [
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        ("select 1; select 2 ;\n", ["select 1", "select 2"]),
        ("select ';', \"a;b\"; select 2", ["select ';', \"a;b\"", "select 2"]),
        ("select 'it''s; here'; select 2", ["select 'it''s; here'", "select 2"]),
        (r"select E'it\'s; here'; select 2", [r"select E'it\'s; here'", "select 2"]),
        (r"select 'ends \'; select 2", [r"select 'ends \'", "select 2"]),
        ("select 1 -- no; end\n; select 2", ["select 1 -- no; end", "select 2"]),
        ("select 1 /* ; /* ; */ ; */; select 2", ["select 1 /* ; /* ; */ ; */", "select 2"]),
        ("do $$ begin a; b; end $$; select 2", ["do $$ begin a; b; end $$", "select 2"]),
        ("do $x$ a; $$ ; $x$; select $1", ["do $x$ a; $$ ; $x$", "select $1"]),
        (" ; -- nothing\n /* nor here */ ; ", []),
        ("select 'never ends; ", ["select 'never ends;"]),
        (
            "create function f() returns int begin atomic select 1; select case when true then 1 end; end; select 2",
            ["create function f() returns int begin atomic select 1; select case when true then 1 end; end", "select 2"],
        ),
        ("begin; select 1; end; select 2", ["begin", "select 1", "end", "select 2"]),
    ],
)
def test_statements_end_at_semicolons_that_are_not_quoted(sql: str, parts: list[str]) -> None:
    assert texts(sql) == parts


def test_a_database_has_quotes_of_its_own() -> None:
    assert texts("select `a;b`, [c;d]; select 2", SQLITE) == ["select `a;b`, [c;d]", "select 2"]
    assert texts("select a[1]; select 2") == ["select a[1]", "select 2"]
    trigger = "create trigger t after insert on a begin insert into b values (1); delete from c; end"
    assert texts(f"{trigger}; select 2", SQLITE) == [trigger, "select 2"]


@given(
    st.lists(
        st.sampled_from([";", "'", '"', "$$", "$a$", "--", "/*", "*/", "\n", ":a", "::b", "x", " ", "E'", "\\", "begin", "end", "create function"]), max_size=30
    )
)
def test_any_text_is_read_to_its_end_and_nothing_of_it_is_made_up(parts: list[str]) -> None:
    sql = "".join(parts)
    for statement in statements(sql, POSTGRES):
        assert statement.text
        assert statement.text in sql
        assert all(statement.text[start:end] == f":{name}" for start, end, name in statement.parameters)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select :a, :b_2 , :a", ["a", "b_2", "a"]),
        ("select x::int, ':no', \":no\" -- :no\n, :yes /* :no */, $$ :no $$", ["yes"]),
        ("select days[1:last], days[:first]", ["first"]),
        ("select '12:30', a=:b", ["b"]),
        ("  \n select :a", ["a"]),
    ],
)
def test_parameters_are_names_after_a_colon_that_are_neither_quoted_nor_casts(sql: str, names: list[str]) -> None:
    (statement,) = statements(sql, POSTGRES)
    assert [name for _, _, name in statement.parameters] == names


def test_parameters_become_a_driver_s_own_placeholders_and_never_text() -> None:
    (statement,) = statements("select :a, ':a', a % 2, :b, :a", POSTGRES)
    values = {"a": "'; drop table x; --", "b": 2, "unused": 3}
    assert statement.bound(values, "pyformat") == ("select %(a)s, ':a', a %% 2, %(b)s, %(a)s", {"a": values["a"], "b": 2})
    assert statement.bound(values, "qmark") == ("select ?, ':a', a % 2, ?, ?", (values["a"], 2, values["a"]))
    assert statement.bound(values, "format") == ("select %s, ':a', a %% 2, %s, %s", (values["a"], 2, values["a"]))
    assert statement.bound({}, "pyformat") == (statement.text, None)


def test_a_parameter_without_a_value_is_an_error_that_names_it() -> None:
    (statement,) = statements("select :age, :naem", POSTGRES)
    with pytest.raises(TaskFailed, match=r"`:naem`, which is not among the parameters \(age, name\)"):
        statement.bound({"age": 1, "name": 2}, "pyformat")


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("select 1", True),
        ("/* x */ with a as (select 1) table a", True),
        ("values (1)", True),
        ("with a as (delete from b returning 1) select * from a", False),
        ("select 1 into b", False),
        ("insert into a select 1", False),
        ("show all", False),
        ("select 'insert', \"update\"", True),
    ],
)
def test_a_statement_only_reads_when_nothing_in_it_writes(sql: str, reads: bool) -> None:
    (statement,) = statements(sql, POSTGRES)
    assert statement.reads is reads


# --- values

MOMENT = datetime(2004, 10, 19, 10, 23, 54, 250_000, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, None),
        (True, True),
        (9223372036854775807, 9223372036854775807),
        (1.5, 1.5),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("2147483645.1234"), 2147483645.1234),
        (Decimal("12.50"), 12.5),
        (Decimal("-7"), -7),
        (Decimal("123456789012345678901234567890"), 123456789012345678901234567890),
        (Decimal("0.1234567890123456789"), "0.1234567890123456789"),
        (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (Decimal("9" * 5000), "9" * 5000),
        (date(2030, 12, 25), "2030-12-25"),
        (time(4, 5, 30), "04:05:30"),
        (time(4, 5, tzinfo=timezone(timedelta(hours=-3))), "04:05:00-03:00"),
        (datetime(2004, 10, 19, 10, 23, 54, 999_999), "2004-10-19T10:23:54.999999"),  # noqa: DTZ001 - without a zone on purpose
        (MOMENT, "2004-10-19T08:23:54.250Z"),
        (timedelta(days=1, seconds=30), "PT24H30S"),
        (b"\xde\xad\xbe\xef", "3q2+7w=="),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([[1, None], [Decimal("1.5")]], [[1, None], [1.5]]),
        ({"a": [date(2030, 1, 1)]}, {"a": ["2030-01-01"]}),
    ],
)
def test_a_value_becomes_json(value: Any, cell: Any) -> None:
    found = Cells().cell(value)
    assert found == cell
    assert type(found) is type(cell)


def test_moments_are_told_in_the_zone_asked_for() -> None:
    assert Cells(ZoneInfo("Europe/Paris")).cell(MOMENT) == "2004-10-19T10:23:54.250+02:00"


@pytest.mark.parametrize(
    "value", [MOMENT.astimezone(UTC), MOMENT.replace(tzinfo=None), date(2030, 12, 25), time(4, 5), time(4, 5, 6, 120_000), timedelta(1), 1.5]
)
def test_values_read_as_the_expression_language_prints_them(value: Any) -> None:
    assert Cells().cell(value) == plain(value)


def test_a_row_is_one_line_of_json() -> None:
    line = Cells().line(["a", "b", "a"], ["x\ny", Decimal("1.5"), "é"])
    assert (line.count("\n"), json.loads(line)) == (1, {"a": "é", "b": 1.5})


# --- addresses


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("jdbc:postgresql://db.internal:5433/shop", {"host": "db.internal", "port": "5433", "dbname": "shop"}),
        ("postgres://ada:p%40ss%2Fw@db/shop", {"host": "db", "dbname": "shop", "user": "ada", "password": "p@ss/w"}),
        ("postgresql://ada@/shop?host=/var/run/pg&port=6000", {"dbname": "shop", "user": "ada", "host": "/var/run/pg", "port": "6000"}),
        ("postgresql://%2Fvar%2Frun/shop", {"host": "/var/run", "dbname": "shop"}),
        ("jdbc:postgresql://a:1,b:2/shop", {"host": "a,b", "port": "1,2", "dbname": "shop"}),
        ("postgresql://[::1]:5432/", {"host": "::1", "port": "5432"}),
        (
            "jdbc:postgresql://h/d?ssl=true&ApplicationName=me&connectTimeout=3&currentSchema=a%20b",
            {"host": "h", "dbname": "d", "sslmode": "verify-full", "application_name": "me", "connect_timeout": "3", "options": "-c search_path=a\\ b"},
        ),
    ],
)
def test_an_address_is_read_in_jdbc_s_and_in_libpq_s_form(url: str, told: dict[str, str]) -> None:
    assert parameters(address(url, SCHEMES)) == told


@pytest.mark.parametrize(
    "url", ["mysql://h/d", "h/d", "jdbc:postgresql:d", "postgresql://u:hunter2:x@h:pw/d", "postgresql://u:hun/ter2@h/d", "postgresql://u:12/hunter2@h/d"]
)
def test_an_address_that_cannot_be_read_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(TaskFailed, match="url: ") as told:
        parameters(address(url, SCHEMES))
    assert not [word for word in ("hunter2", "ter2", "hun", "pw") if word in str(told.value)]


def test_an_address_hides_its_password_where_it_is_shown() -> None:
    assert "hunter2" not in repr(address("postgresql://u:hunter2@h/d?sslpassword=hunter2", SCHEMES))
