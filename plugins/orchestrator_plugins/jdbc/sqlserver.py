"""Microsoft SQL Server: queries, and starting executions by what they find."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field

from orchestrator.sdk import Dynamic, RunContext, TaskFailed, Text
from orchestrator_plugins.jdbc.driver import Driver, missing
from orchestrator_plugins.jdbc.properties import Database
from orchestrator_plugins.jdbc.query import SqlQueries, SqlQuery, SqlTrigger

PORT = 1433
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|[^:\\]*)(?:\\(?P<instance>[^:]+))?(?::(?P<port>\d{1,5}))?")
_OPTION = re.compile(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)")
_ENCRYPTION = {"true": "require", "mandatory": "require", "strict": "require", "false": "request", "optional": "request", "no": "off"}


class SqlServer(Database, ABC):
    """Where a SQL Server database is, and who asks."""

    preloads: ClassVar[tuple[str, ...]] = ("orchestrator_plugins.jdbc.sqlserver_client", "sqlalchemy.dialects.mssql.pymssql")

    url: Dynamic[Text] = Field(
        description="`jdbc:sqlserver://host:port;databaseName=shop;...`; a named instance is `host\\instance`.",
        examples=["jdbc:sqlserver://db.internal:1433;databaseName=shop;encrypt=true"],
    )

    def driver(self, ctx: RunContext) -> Driver:
        try:
            from orchestrator_plugins.jdbc.sqlserver_client import MsSql
        except ImportError as err:
            raise missing("SQL Server", "sqlserver", err) from err
        parts = parameters(ctx.render(self.url), ctx.logger.warn)
        parts.update({name: value for name, value in (("user", ctx.render(self.username)), ("password", ctx.render(self.password))) if value})
        return MsSql(parts)


def parameters(url: str, warn: Callable[[str], None]) -> dict[str, Any]:
    """What the library is told for an address. `warn` is told of options that have no effect here. Raises TaskFailed."""
    scheme, found, rest = url.strip().removeprefix("jdbc:").partition("://")
    if not found or scheme != "sqlserver":
        raise TaskFailed("url: it must begin with jdbc:sqlserver://")
    place, _, options = rest.partition(";")
    where = _PLACE.fullmatch(place.rstrip("/"))
    if where is None:
        raise TaskFailed(
            "url: it is jdbc:sqlserver://host[\\instance][:port][;name=value...]; user and password are options of it, or `username` and `password`"
        )
    parts: dict[str, Any] = {"server": where["host"].strip("[]") or "localhost", "port": where["port"] or str(PORT)}
    if where["instance"]:
        parts["server"] += f"\\{where['instance']}"
    for name, value in _OPTION.findall(options):
        parts.update(_option(name, value[1:-1].replace("}}", "}") if value.startswith("{") else value, warn))
    return parts


def _option(name: str, value: str, warn: Callable[[str], None]) -> Mapping[str, Any]:
    match name.lower():
        case "databasename" | "database":
            return {"database": value}
        case "user" | "username":
            return {"user": value}
        case "password":
            return {"password": value}
        case "servername" | "server":
            return {"server": value}
        case "portnumber" | "port":
            return {"port": value}
        case "logintimeout" if value.isdecimal():
            return {"login_timeout": int(value)}
        case "applicationname":
            return {"appname": value}
        case "encrypt" if value.lower() in _ENCRYPTION:
            return {"encryption": _ENCRYPTION[value.lower()]}
        case "applicationintent":
            return {"read_only": value.lower() == "readonly"}
    warn(f"the option `{name}` of the url has no effect here")
    return {}


class Query(SqlServer, SqlQuery):
    """Run one SQL statement on a SQL Server database; its rows become outputs or a stored file."""


class Queries(SqlServer, SqlQueries):
    """Run SQL statements on a SQL Server database, all or none; the output `outputs` lists what those with rows have given."""


class Trigger(SqlServer, SqlTrigger):
    """Start an execution when an SQL statement gives at least one row of a SQL Server database."""
