"""The SQL family on SQLite and PostgreSQL keeps what it keeps on every database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.contract.jdbc_contract import SqlContract, SqlSite
from tests.contract.postgres_server import server


class TestSqlite(SqlContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> SqlSite:
        def ask(sql: str) -> Sequence[Any]:
            with closing(sqlite3.connect(tmp_path / "shop.db", isolation_level=None)) as connection:
                return connection.execute(sql).fetchall()

        endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
        return SqlSite("sqlite", f"jdbc:sqlite:{tmp_path}/shop.db", ask, endless, {})


class TestPostgresql(SqlContract):
    @pytest.fixture(scope="class")
    @classmethod
    def url(cls) -> Iterator[str]:
        with server() as found:
            yield found.replace("+psycopg", "")

    @pytest.fixture
    def site(self, url: str) -> SqlSite:
        def ask(sql: str) -> Sequence[Any]:
            with psycopg.connect(url, autocommit=True) as connection:
                cursor = connection.execute(sql)
                return cursor.fetchall() if cursor.description else []

        return SqlSite("postgresql", url, ask, "select pg_sleep(300)", {})
