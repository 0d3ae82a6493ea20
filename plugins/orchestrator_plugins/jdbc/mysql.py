"""MySQL and MariaDB: queries, and starting executions by what they find."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from orchestrator.sdk import Dynamic, RunContext, TaskFailed, Text
from orchestrator_plugins.jdbc.address import Address, address
from orchestrator_plugins.jdbc.driver import Driver, missing
from orchestrator_plugins.jdbc.properties import Database
from orchestrator_plugins.jdbc.query import SqlQueries, SqlQuery, SqlTrigger

SCHEMES = ("mysql", "mariadb")


class SslMode(StrEnum):
    """How far the connection is protected, and whether the server's certificate and name are checked."""

    DISABLED = "DISABLED"
    PREFERRED = "PREFERRED"
    REQUIRED = "REQUIRED"
    VERIFY_CA = "VERIFY_CA"
    VERIFY_IDENTITY = "VERIFY_IDENTITY"


# What the MariaDB driver for Java calls them.
_RENAMED = {"DISABLE": SslMode.DISABLED, "TRUST": SslMode.REQUIRED, "VERIFY-CA": SslMode.VERIFY_CA, "VERIFY-FULL": SslMode.VERIFY_IDENTITY}


class Mysql(Database, ABC):
    """Where a MySQL or MariaDB database is, who asks, and how the connection is protected."""

    preloads: ClassVar[tuple[str, ...]] = ("orchestrator_plugins.jdbc.mysql_client", "sqlalchemy.dialects.mysql.pymysql")

    url: Dynamic[Text] = Field(
        description="`jdbc:mysql://host:port/database` or `jdbc:mariadb://...`; a Unix socket is named by its file: `?unix_socket=/file`.",
        examples=["jdbc:mysql://db.internal:3306/shop"],
    )

    def driver(self, ctx: RunContext) -> Driver:
        try:
            from orchestrator_plugins.jdbc.mysql_client import MySql
        except ImportError as err:
            raise missing("MySQL", "mysql", err) from err
        found = address(ctx.render(self.url), SCHEMES)
        parts, mode = parameters(found, ctx.logger.warn)
        parts.update({name: value for name, value in (("user", ctx.render(self.username)), ("password", ctx.render(self.password))) if value})
        return MySql(parts, mode)


def parameters(found: Address, warn: Callable[[str], None]) -> tuple[dict[str, Any], SslMode]:
    """What the library is told for an address. `warn` is told of options that have no effect here. Raises TaskFailed."""
    if len(found.hosts) > 1:
        raise TaskFailed("url: MySQL takes one host")
    host, port = found.hosts[0]
    parts: dict[str, Any] = {"host": host or "localhost", "port": int(port or 3306), "database": found.database or None}
    parts.update({name: value for name, value in (("user", found.user), ("password", found.password)) if value})
    mode = SslMode.PREFERRED
    for name, value in found.options.items():
        match name:
            case "user" | "password" | "unix_socket":
                parts[name] = value
            case "localSocket":
                parts["unix_socket"] = value
            case "connectTimeout":
                parts["connect_timeout"] = max(1, _milliseconds(name, value) // 1000)
            case "sslMode":
                mode = _mode(value)
            case "useSSL" | "requireSSL":
                mode = SslMode.REQUIRED if value == "true" else SslMode.DISABLED
            case _:
                warn(f"the option `{name}` of the url has no effect here")
    return parts, mode


def _mode(text: str) -> SslMode:
    word = text.upper()
    if word in _RENAMED:
        return _RENAMED[word]
    if word not in SslMode.__members__:
        raise TaskFailed(f"url: sslMode is one of {', '.join(SslMode)}")
    return SslMode(word)


def _milliseconds(name: str, value: str) -> int:
    if not value.isdecimal():
        raise TaskFailed(f"url: {name} is a number of milliseconds")
    return int(value)


class Query(Mysql, SqlQuery):
    """Run one SQL statement on a MySQL or MariaDB database; its rows become outputs or a stored file."""


class Queries(Mysql, SqlQueries):
    """Run SQL statements on a MySQL or MariaDB database, all or none; the output `outputs` lists what those with rows have given."""


class Trigger(Mysql, SqlTrigger):
    """Start an execution when an SQL statement gives at least one row of a MySQL or MariaDB database."""
