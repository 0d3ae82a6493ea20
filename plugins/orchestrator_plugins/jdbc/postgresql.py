"""PostgreSQL: queries, and starting executions by what they find."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from orchestrator.sdk import Dynamic, RunContext, Text
from orchestrator_plugins.jdbc.address import Address, address
from orchestrator_plugins.jdbc.driver import Driver, missing
from orchestrator_plugins.jdbc.properties import Database
from orchestrator_plugins.jdbc.query import SqlQueries, SqlQuery, SqlTrigger

SCHEMES = ("postgresql", "postgres")
# What JDBC calls the things that libpq knows by another name.
_RENAMED = {"ApplicationName": "application_name", "connectTimeout": "connect_timeout", "loginTimeout": "connect_timeout", "sslfactory": ""}


class SslMode(StrEnum):
    """How far the connection is protected, and whether the server's certificate and name are checked."""

    DISABLE = "DISABLE"
    ALLOW = "ALLOW"
    PREFER = "PREFER"
    REQUIRE = "REQUIRE"
    VERIFY_CA = "VERIFY_CA"
    VERIFY_FULL = "VERIFY_FULL"


class Postgresql(Database, ABC):
    """Where a PostgreSQL database is, who asks, and how the connection is protected."""

    preloads: ClassVar[tuple[str, ...]] = ("orchestrator_plugins.jdbc.postgresql_client", "sqlalchemy.dialects.postgresql.psycopg")

    url: Dynamic[Text] = Field(
        description="`jdbc:postgresql://host:port/database` or `postgresql://host:port/database`; a Unix socket is named by its folder: `?host=/folder`.",
        examples=["jdbc:postgresql://db.internal:5432/shop"],
    )
    ssl: Dynamic[bool] = Field(False, description="Whether the connection must be encrypted and the server's certificate good, as `sslMode: VERIFY_FULL`.")
    ssl_mode: Dynamic[SslMode] | None = Field(None, description="How the connection is protected.")
    ssl_root_cert: Dynamic[Text] | None = Field(None, description="The certificate that the server's is checked by, as PEM text.")
    ssl_cert: Dynamic[Text] | None = Field(None, description="The client's certificate, as PEM text.")
    ssl_key: Dynamic[Text] | None = Field(None, description="The key of the client's certificate, as PEM text.")
    ssl_key_password: Dynamic[Text] | None = Field(None, description="The password of that key.")

    def driver(self, ctx: RunContext) -> Driver:
        try:
            from orchestrator_plugins.jdbc.postgresql_client import Postgres
        except ImportError as err:
            raise missing("PostgreSQL", "postgres", err) from err
        found = address(ctx.render(self.url), SCHEMES)
        parts = {**parameters(found), **self._asker(ctx), **self._protection(ctx)}
        zone = ctx.render(self.time_zone_id)
        return Postgres(parts, self._pems(ctx), ctx.working_dir, zone=zone or None, say=ctx.logger.info)

    def _asker(self, ctx: RunContext) -> Mapping[str, str]:
        found = {"user": ctx.render(self.username), "password": ctx.render(self.password)}
        return {name: value for name, value in found.items() if value}

    def _protection(self, ctx: RunContext) -> Mapping[str, str]:
        mode = ctx.render(self.ssl_mode) or (SslMode.VERIFY_FULL if ctx.render(self.ssl) else None)
        password = ctx.render(self.ssl_key_password)
        found = {"sslmode": SslMode(mode).value.lower().replace("_", "-") if mode else None, "sslpassword": password}
        return {name: value for name, value in found.items() if value}

    def _pems(self, ctx: RunContext) -> Mapping[str, str]:
        """The texts that libpq wants in files."""
        found = {"sslrootcert": ctx.render(self.ssl_root_cert), "sslcert": ctx.render(self.ssl_cert), "sslkey": ctx.render(self.ssl_key)}
        return {name: value for name, value in found.items() if value}


def parameters(found: Address) -> dict[str, str]:
    """What libpq is told for an address; JDBC's own names are put into its words. Raises TaskFailed."""
    parts = {"host": ",".join(host for host, _ in found.hosts), "port": ",".join(port for _, port in found.hosts), "dbname": found.database}
    parts = {name: value for name, value in parts.items() if value.strip(",")}
    parts.update({name: value for name, value in (("user", found.user), ("password", found.password)) if value})
    for name, value in found.options.items():
        if name == "currentSchema":
            parts["options"] = f"{parts.get('options', '')} -c search_path={_escaped(value)}".strip()
        elif name == "ssl":
            parts.setdefault("sslmode", "verify-full" if value in ("", "true") else "prefer")
        elif renamed := _RENAMED.get(name, name):
            parts[renamed] = value
    return parts


def _escaped(value: str) -> str:
    """A value within libpq's `options`, where spaces part and backslashes escape."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


class Query(Postgresql, SqlQuery):
    """Run one SQL statement on a PostgreSQL database; its rows become outputs or a stored file."""


class Queries(Postgresql, SqlQueries):
    """Run SQL statements on a PostgreSQL database, all or none; the output `outputs` lists what those with rows have given."""


class Trigger(Postgresql, SqlTrigger):
    """Start an execution when an SQL statement gives at least one row of a PostgreSQL database."""
