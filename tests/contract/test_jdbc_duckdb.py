"""The SQL family on DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.contract.jdbc_contract import SqlContract, SqlSite

ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


class TestDuckdb(SqlContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> SqlSite:
        path = tmp_path / "shop.duckdb"

        def ask(sql: str) -> Sequence[Any]:
            with duckdb.connect(str(path)) as connection:
                return connection.execute(sql).fetchall()

        return SqlSite("duckdb", f"jdbc:duckdb:{path}", ask, ENDLESS, {})

    def test_every_type_has_its_json(self, site: SqlSite, ctx: FakeContext) -> None:
        sql = """
            select 1 as i, 170141183460469231731687303715884105727 as huge, 1.50 as d, 'NaN'::double as nan, unhex('DEAD') as b, [1, 2] as l, {'a': 1} as s,
                   map {'x': 1} as m, '{"a": [1]}'::json as j, null as n, date '2030-01-02' as day, time '03:04:05' as t, interval 26 hour as iv,
                   timestamp '2030-01-02 03:04:05' as at, timestamptz '2030-01-02 03:04:05Z' as z, true as yes
        """
        assert site.run(ctx, sql, fetchOne=True, timeZoneId="Europe/Paris")["row"] == {
            "i": 1,
            "huge": 170141183460469231731687303715884105727,
            "d": 1.5,
            "nan": "NaN",
            "b": "3q0=",
            "l": [1, 2],
            "s": {"a": 1},
            "m": {"x": 1},
            "j": {"a": [1]},
            "n": None,
            "day": "2030-01-02",
            "t": "03:04:05",
            "iv": "PT26H",
            "at": "2030-01-02T03:04:05",
            "z": "2030-01-02T04:04:05+01:00",
            "yes": True,
        }

    def test_files_are_read_by_their_names_and_written_to_be_stored(self, site: SqlSite, ctx: FakeContext, tmp_path: Path) -> None:
        (tmp_path / "more.csv").write_text("i\n4\n")
        files = {"some.csv": "i\n1\n2\n", "more.csv": ctx.files.put(tmp_path / "more.csv", "more.csv")}
        by_name = SqlSite("duckdb", "jdbc:duckdb:", site.ask, "", {"inputFiles": files})
        assert by_name.run(ctx, "select sum(i)::int as n from read_csv(['some.csv', '{{ workingDir }}/more.csv'])", fetchOne=True)["row"] == {"n": 7}
        kept = by_name.run(ctx, "copy (select 1 as a) to '{{ outputFiles.out }}' (format csv)", outputFiles=["out"])
        assert ctx.files.text(kept["outputFiles"]["out"]) == "a\n1\n"
        with pytest.raises(TaskFailed, match=r"has made no file `out`; write it to '\{\{ outputFiles.out \}\}'"):
            by_name.run(FakeContext(tmp_path / "other"), "select 1", outputFiles=["out"], inputFiles={})

    def test_a_stored_database_is_fetched_changed_and_kept(self, site: SqlSite, ctx: FakeContext, tmp_path: Path) -> None:
        uri = ctx.files.put(tmp_path / "shop.duckdb", "shop.duckdb")
        in_copy = SqlSite("duckdb", "jdbc:duckdb:", site.ask, "", {"databaseUri": uri})
        kept = in_copy.run(ctx, "delete from items where i = 1", outputDbFile=True)
        ctx.files.fetch(kept["databaseUri"], tmp_path / "kept.duckdb")
        with duckdb.connect(str(tmp_path / "kept.duckdb")) as connection:
            assert connection.execute("select i from items").fetchall() == [(2,)]
        assert site.ask("select count(*) from items") == [(2,)]
