"""What the addresses of MySQL and SQL Server mean, and where statements end in their SQL."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.sdk import TaskFailed
from orchestrator_plugins.jdbc import mysql, sqlserver
from orchestrator_plugins.jdbc.address import address
from orchestrator_plugins.jdbc.mysql import SslMode
from orchestrator_plugins.jdbc.mysql_client import MySql
from orchestrator_plugins.jdbc.sqlserver_client import MsSql
from orchestrator_plugins.jdbc.statements import Dialect, statements


def of_mysql(url: str) -> tuple[dict[str, Any], SslMode, list[str]]:
    warned: list[str] = []
    parts, mode = mysql.parameters(address(url, mysql.SCHEMES), warned.append)
    return parts, mode, warned


def of_sqlserver(url: str) -> tuple[dict[str, Any], list[str]]:
    warned: list[str] = []
    return sqlserver.parameters(url, warned.append), warned


@pytest.mark.parametrize(
    ("url", "parts", "mode"),
    [
        ("jdbc:mysql://db/shop", {"host": "db", "port": 3306, "database": "shop"}, SslMode.PREFERRED),
        ("mariadb://ada:p%40ss@db:3307", {"host": "db", "port": 3307, "database": None, "user": "ada", "password": "p@ss"}, SslMode.PREFERRED),
        ("jdbc:mysql://db/s?sslMode=verify_identity", {"host": "db", "port": 3306, "database": "s"}, SslMode.VERIFY_IDENTITY),
        ("jdbc:mariadb://db/s?sslMode=verify-ca", {"host": "db", "port": 3306, "database": "s"}, SslMode.VERIFY_CA),
        ("jdbc:mysql://db/s?useSSL=true&connectTimeout=2500", {"host": "db", "port": 3306, "database": "s", "connect_timeout": 2}, SslMode.REQUIRED),
        ("jdbc:mariadb:///s?localSocket=/run/s", {"host": "localhost", "port": 3306, "database": "s", "unix_socket": "/run/s"}, SslMode.PREFERRED),
    ],
)
def test_an_address_of_mysql_is_read(url: str, parts: dict[str, Any], mode: SslMode) -> None:
    assert of_mysql(url) == (parts, mode, [])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("jdbc:postgresql://db/s", "must begin with jdbc:mysql://"),
        ("jdbc:mysql://a,b/s", "one host"),
        ("jdbc:mysql://db/s?sslMode=sometimes", "sslMode is one of"),
        ("jdbc:mysql://db/s?connectTimeout=soon", "number of milliseconds"),
    ],
)
def test_an_address_of_mysql_that_cannot_be_is_refused(url: str, words: str) -> None:
    with pytest.raises(TaskFailed, match=words):
        of_mysql(url)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("jdbc:sqlserver://db", {"server": "db", "port": "1433"}),
        ("jdbc:sqlserver://db:1500;databaseName=shop;encrypt=true", {"server": "db", "port": "1500", "database": "shop", "encryption": "require"}),
        (r"jdbc:sqlserver://db\plant;user=ada;password={a;b}}c}", {"server": r"db\plant", "port": "1433", "user": "ada", "password": "a;b}c"}),
        ("sqlserver://[::1]:1433;loginTimeout=3", {"server": "::1", "port": "1433", "login_timeout": 3}),
        ("jdbc:sqlserver://;serverName=db;portNumber=9", {"server": "db", "port": "9"}),
    ],
)
def test_an_address_of_sql_server_is_read(url: str, parts: dict[str, Any]) -> None:
    assert of_sqlserver(url) == (parts, [])


def test_an_option_without_an_effect_is_told_and_another_scheme_refused() -> None:
    assert of_sqlserver("jdbc:sqlserver://db;trustServerCertificate=true")[1] == ["the option `trustServerCertificate` of the url has no effect here"]
    with pytest.raises(TaskFailed, match="must begin with jdbc:sqlserver://"):
        of_sqlserver("jdbc:mysql://db/s")


def test_statements_of_t_sql_end_outside_of_blocks_and_quoted_names() -> None:
    sql = (
        "if 1 = 1 begin select 1; select [a;b] from t end; begin transaction; update t set a = case when b = 1 then 2 end; commit; /* a /* ; */ b; */ select 2"
    )
    found = [one.text for one in statements(sql, MsSql.dialect)]
    assert found == [
        "if 1 = 1 begin select 1; select [a;b] from t end",
        "begin transaction",
        "update t set a = case when b = 1 then 2 end",
        "commit",
        "/* a /* ; */ b; */ select 2",
    ]


def test_statements_of_mysql_know_backslashes_hashes_and_minus_minus() -> None:
    sql = "select 'it\\'s;', \"a\\\";\", `x;` # no; more\n, 5--3; -- and; so\nselect 2"
    assert [one.text.splitlines()[0] for one in statements(sql, MySql.dialect)] == ["select 'it\\'s;', \"a\\\";\", `x;` # no; more", "-- and; so"]
    assert len(statements("select 'it\\'; select 2", Dialect())) == 2, "elsewhere a backslash is a character as any other"
