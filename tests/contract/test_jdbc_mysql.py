"""The SQL family on a real MariaDB server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pymysql
import pytest

from orchestrator.runtime import ray_processes
from orchestrator.sdk import TaskFailed
from orchestrator.sdk.fakes import FakeContext
from tests.contract.jdbc_contract import SqlContract, SqlSite
from tests.contract.jdbc_site import until
from tests.contract.mariadb_server import server

Ask = Callable[[str], Sequence[Any]]


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Path, int]]:
    """A server's socket and port."""
    (port,) = ray_processes.free_ports(1)
    with server(port=port) as socket:
        yield socket, port


class TestMysql(SqlContract):
    @pytest.fixture
    def site(self, place: tuple[Path, int]) -> SqlSite:
        socket, _ = place

        def ask(sql: str) -> Sequence[Any]:
            with pymysql.connect(unix_socket=str(socket), user="tester", database="shop", autocommit=True) as connection, connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()

        return SqlSite("mysql", f"jdbc:mysql://localhost/shop?unix_socket={socket}", ask, "select sleep(300)", {"username": "tester"})

    def test_every_type_has_its_json(self, site: SqlSite, ctx: FakeContext) -> None:
        sql = """
            select 1 as i, 18446744073709551615 as big, 1.50 as dec_, 0.1e0 as dbl, 'ä' as s, x'DEAD' as b, null as n, date '2030-01-02' as d,
                   timestamp '2030-01-02 03:04:05.678' as dt, time '-12:00:01' as t, true as yes
        """
        assert site.run(ctx, sql, fetchOne=True)["row"] == {
            "i": 1,
            "big": 18446744073709551615,
            "dec_": 1.5,
            "dbl": 0.1,
            "s": "ä",
            "b": "3q0=",
            "n": None,
            "d": "2030-01-02",
            "dt": "2030-01-02T03:04:05.678",
            "t": "-12:00:01",
            "yes": 1,
        }

    def test_a_timestamp_is_a_moment_told_in_the_zone_asked_for(self, site: SqlSite, ctx: FakeContext) -> None:
        site.ask("create or replace table moments (at timestamp, none timestamp default '0000-00-00')")
        site.run(ctx, "insert into moments values ('2030-01-02 03:04:05', '0000-00-00')")
        assert site.run(ctx, "select * from moments", fetchOne=True)["row"] == {"at": "2030-01-02T03:04:05Z", "none": "0000-00-00 00:00:00"}
        assert site.run(ctx, "select at from moments", fetchOne=True, timeZoneId="Europe/Paris")["row"] == {"at": "2030-01-02T04:04:05+01:00"}

    def test_its_own_quotes_and_comments_hold_what_looks_like_an_end_or_a_parameter(self, site: SqlSite, ctx: FakeContext) -> None:
        sql = "select 'a\\';:x' as `odd;:name`, 5--3 as eight # ;:y\n -- ;:z\n /* ; */ where :yes = 1"
        assert site.run(ctx, sql, fetchOne=True, parameters={"yes": 1})["row"] == {"odd;:name": "a';:x", "eight": 8}

    def test_what_a_trigger_does_after_touches_no_row_that_it_has_not_seen(self, site: SqlSite, ctx: FakeContext, place: tuple[Path, int]) -> None:
        site.ask("delete from items where i = 2")
        found: list[Any] = []
        sql = "select i, get_lock('between', 20) as l from (select i from items where name is not null order by i limit 9) as found"
        after = "update items set name = null where name is not null"
        look = threading.Thread(target=lambda: found.append(site.run(ctx, sql, "Trigger", fetchType="FETCH", afterSQL=after)))
        put = threading.Thread(target=lambda: site.ask("insert into items values (9, 'new')"))
        with pymysql.connect(unix_socket=str(place[0]), user="tester", database="shop") as holder, holder.cursor() as cursor:
            cursor.execute("select get_lock('between', 1)")
            look.start()
            until(lambda: site.ask("select 1 from information_schema.processlist where state = 'User lock'"))
            put.start()
            until(lambda: site.ask("select 1 from information_schema.processlist where info like 'insert into items%'"))
        look.join()
        put.join()
        assert [one["i"] for one in found[0]["rows"]] == [1]
        assert site.ask("select i from items where name is not null") == ((9,),)

    def test_a_stop_ends_the_query_on_the_server_too(self, site: SqlSite, house: Any) -> None:
        house.run({"type": "io.kestra.plugin.jdbc.mysql.Query", "url": site.url, "sql": site.endless, **site.properties})
        asleep = "select 1 from information_schema.processlist where state = 'User sleep'"
        until(lambda: site.ask(asleep))
        house.stop()
        assert house.executor.outcome()["state"] == "KILLED"
        until(lambda: not site.ask(asleep), within=2.0)

    def test_a_server_that_is_not_there_is_told_with_its_place_and_a_way_out(self, ctx: FakeContext, site: SqlSite) -> None:
        (port,) = ray_processes.free_ports(1)
        with pytest.raises(TaskFailed) as told:
            SqlSite("mysql", f"jdbc:mysql://127.0.0.1:{port}/shop?useSSL=false", site.ask, "", {"username": "ada", "password": "hunter2"}).run(ctx, "select 1")
        assert f"MySQL cannot be reached from this worker: database 'shop' at 127.0.0.1:{port} as user 'ada'" in str(told.value)
        assert "workerGroup" in str(told.value)
        assert "hunter2" not in str(told.value)

    def test_a_refusal_is_told_in_the_server_s_words(self, ctx: FakeContext, site: SqlSite, place: tuple[Path, int]) -> None:
        by_network = f"jdbc:mariadb://127.0.0.1:{place[1]}/shop"
        assert SqlSite("mysql", by_network, site.ask, "", {"username": "tester"}).run(ctx, "select 1 as a", fetchOne=True)["row"] == {"a": 1}
        with pytest.raises(TaskFailed, match=r"refuses the connection to database 'shop' .*Access denied for user 'nobody'.*\(error 1045\)"):
            SqlSite("mysql", by_network, site.ask, "", {"username": "nobody", "password": "x"}).run(ctx, "select 1")

    def test_an_option_of_the_address_without_an_effect_is_told(self, ctx: FakeContext, site: SqlSite) -> None:
        SqlSite("mysql", site.url + "&allowPublicKeyRetrieval=true", site.ask, "", site.properties).run(ctx, "select 1")
        assert ctx.logger.lines[-1] == ("WARN", "the option `allowPublicKeyRetrieval` of the url has no effect here")
