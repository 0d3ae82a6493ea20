"""What every kind of SQL database keeps. Subclass it with the fixture `site`; each case leaves the tables as it found them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.unit.runtime.isolated_tasks import recipe
from tests.unit.runtime.worker_house import House

ATTACKS = ("x'; drop table items; --", "\\' or 1=1; -- ", '" or ""="', "%s %(a)s %% :name ?", "ä ☃ \U0001f600")


@dataclass(frozen=True)
class SqlSite:
    """One database: `kind` as in the types' names, its URL, a way to ask it directly, and a statement that takes minutes."""

    kind: str
    url: str
    ask: Callable[[str], Sequence[Any]]
    endless: str
    properties: dict[str, Any]

    def run(self, ctx: FakeContext, sql: str, name: str = "Query", **more: Any) -> Any:
        """A run of a task, or one look of the trigger."""
        full = f"io.kestra.plugin.jdbc.{self.kind}.{name}"
        made = registry.load("trigger" if name == "Trigger" else "task", full)
        task = made.model_validate({"id": "t", "type": full, "url": self.url, "sql": sql, **self.properties, **more})
        return task.evaluate(ctx) if name == "Trigger" else task.run(ctx)


class SqlContract:
    """Values, transactions, parameters and stops, the same on every database."""

    @pytest.fixture
    def site(self) -> SqlSite:
        raise NotImplementedError("override the fixture `site`")

    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[House]:
        made = House(tmp_path / "base", isolated_by=recipe(tmp_path / "base"))
        yield made
        made.worker.close()

    @pytest.fixture
    def ctx(self, tmp_path: Path, site: SqlSite) -> FakeContext:
        for sql in ("drop table if exists items", "create table items (i int, name varchar(200))", "insert into items values (1, 'it''s'), (2, null)"):
            site.ask(sql)
        return FakeContext(tmp_path, {"n": 2})

    ROWS: Sequence[Any] = ({"i": 1, "name": "it's"}, {"i": 2, "name": None})

    def test_rows_become_outputs_or_a_stored_file_of_json_lines(self, site: SqlSite, ctx: FakeContext) -> None:
        sql, rows = "select i, name from items order by i", list(self.ROWS)
        assert site.run(ctx, sql, fetchType="FETCH") == {"rows": rows, "size": 2}
        assert site.run(ctx, sql, fetchOne=True) == {"row": rows[0], "size": 1}
        assert site.run(ctx, sql) == {}
        for properties in ({"fetchType": "STORE"}, {"store": True, "fetchSize": 1}):
            stored = site.run(ctx, sql, **properties)
            assert stored["size"] == 2
            assert [json.loads(line) for line in ctx.files.text(stored["uri"]).splitlines()] == rows

    def test_no_row_is_null_and_a_statement_that_gives_none_has_no_rows(self, site: SqlSite, ctx: FakeContext) -> None:
        assert site.run(ctx, "select i from items where 1 = 0", fetchType="FETCH_ONE") == {"row": None, "size": 0}
        assert site.run(ctx, "select i from items where 1 = 0", fetchType="FETCH") == {"rows": [], "size": 0}
        assert site.run(ctx, "insert into items values (3, 'x')", fetchType="FETCH") == {}
        assert [tuple(row) for row in site.ask("select count(*) from items")] == [(3,)]

    def test_parameters_keep_their_types(self, site: SqlSite, ctx: FakeContext) -> None:
        found = site.run(ctx, "select i from items where i < :most and '%' = '%' and ':i' <> 'x'", fetchType="FETCH", parameters={"most": "{{ n }}"})
        assert found["rows"] == [{"i": 1}]
        assert site.run(ctx, "select i from items where name is null and coalesce(:none, name) is null", fetchOne=True, parameters={"none": None})["row"] == {
            "i": 2
        }

    @pytest.mark.parametrize("attack", ATTACKS)
    def test_a_value_stays_a_value_whatever_is_in_it(self, site: SqlSite, ctx: FakeContext, attack: str) -> None:
        site.run(ctx, "insert into items values (3, :name)", parameters={"name": attack})
        assert site.run(ctx, "select i, name from items where name = :name", fetchType="FETCH", parameters={"name": attack})["rows"] == [
            {"i": 3, "name": attack}
        ]

    def test_a_parameter_without_a_value_is_told(self, site: SqlSite, ctx: FakeContext) -> None:
        with pytest.raises(TaskFailed, match="names `:b`, which is not among the parameters"):
            site.run(ctx, "select :a, :b", parameters={"a": 1})

    def test_query_takes_one_statement(self, site: SqlSite, ctx: FakeContext) -> None:
        assert site.run(ctx, "select i from items where i = 1; -- that is all\n", fetchOne=True)["row"] == {"i": 1}
        with pytest.raises(TaskFailed, match="there are 2"):
            site.run(ctx, "select ';'; select 2")

    def test_queries_give_one_output_for_each_statement_with_rows(self, site: SqlSite, ctx: FakeContext) -> None:
        found = site.run(ctx, "select i from items where i = 1; delete from items; select count(*) as n from items;", "Queries", fetchType="FETCH")
        assert found == {"outputs": [{"rows": [{"i": 1}], "size": 1}, {"rows": [{"n": 0}], "size": 1}]}

    @pytest.mark.parametrize(("transaction", "kept"), [(True, 2), (False, 3)])
    def test_queries_are_done_all_or_none_unless_each_is_its_own_transaction(self, site: SqlSite, ctx: FakeContext, transaction: bool, kept: int) -> None:
        with pytest.raises(TaskFailed, match="statement 2 of 2: SQL failed: "):
            site.run(ctx, "insert into items values (3, 'x'); insert into nowhere values (1)", "Queries", transaction=transaction)
        assert [tuple(row) for row in site.ask("select count(*) from items")] == [(kept,)]

    def test_what_comes_after_is_in_the_same_transaction(self, site: SqlSite, ctx: FakeContext) -> None:
        assert site.run(ctx, "select i from items", fetchType="FETCH", afterSQL="delete from items where i < :most", parameters={"most": 2})["size"] == 2
        with pytest.raises(TaskFailed, match="SQL failed"):
            site.run(ctx, "insert into items values (3, 'x')", afterSQL="delete from nowhere")
        assert [tuple(row) for row in site.ask("select i from items")] == [(2,)]

    def test_a_trigger_fires_once_for_what_it_marks(self, site: SqlSite, ctx: FakeContext) -> None:
        sql, after = "select i from items where name is not null", "update items set name = null where name is not null"
        assert site.run(ctx, sql, "Trigger", fetchType="FETCH", afterSQL=after) == {"rows": [{"i": 1}], "size": 1}
        assert site.run(ctx, sql, "Trigger", fetchType="FETCH", afterSQL=after) is None
        assert site.run(ctx, "select i from items", "Trigger") == {"size": 2}

    def test_a_failure_tells_the_database_s_words_and_never_the_values(self, site: SqlSite, ctx: FakeContext) -> None:
        with pytest.raises(TaskFailed, match=r"SQL failed: .*nope") as told:
            site.run(ctx, "select nope from items where name = :a", parameters={"a": "hunter2"})
        assert "hunter2" not in str(told.value)
        assert told.value.__cause__ is None

    def test_a_kill_ends_a_statement_within_a_second(self, site: SqlSite, house: House) -> None:
        kind = f"io.kestra.plugin.jdbc.{site.kind}.Query"
        house.run({"type": kind, "url": site.url, "sql": site.endless, "fetchType": "FETCH", **site.properties})
        house.executor.until(lambda: house.executor.of("received"))
        began = time.monotonic()
        house.stop()
        assert house.executor.outcome()["state"] == "KILLED"
        assert time.monotonic() - began < 1.5
