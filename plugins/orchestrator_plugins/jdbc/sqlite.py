"""SQLite: queries on a file, and starting executions by what they find."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, RunContext, TaskFailed, Text
from orchestrator.sdk.folders import inside
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.properties import Database
from orchestrator_plugins.jdbc.query import SqlQueries, SqlQuery, SqlTrigger

MEMORY = ":memory:"


class Sqlite(Database, ABC):
    """Which SQLite database: a file of the worker, or a stored one."""

    preloads: ClassVar[tuple[str, ...]] = ("orchestrator_plugins.jdbc.sqlite_client", "sqlalchemy.dialects.sqlite.pysqlite")

    url: Dynamic[Text] = Field(
        description="`jdbc:sqlite:` and the path of a file, which is one of the working directory where it is relative; or `:memory:`.",
        examples=["jdbc:sqlite:shop.db"],
    )
    sqlite_file: Dynamic[Text] | None = Field(None, description="The URI of a stored database to copy to that path first.")
    output_db_file: Dynamic[bool] = Field(False, description="Whether the database is kept as a stored file, as the output `databaseUri`.")

    def driver(self, ctx: RunContext) -> Driver:
        from orchestrator_plugins.jdbc.sqlite_client import Sqlite3

        path = self._path(ctx)
        uri = ctx.render(self.sqlite_file)
        if uri and path != MEMORY:
            ctx.files.fetch(uri, Path(path))
        return Sqlite3(path)

    def _path(self, ctx: RunContext) -> str:
        scheme, found, path = ctx.render(self.url).strip().removeprefix("jdbc:").partition(":")
        if scheme != "sqlite" or not found:
            raise TaskFailed("url: it must begin with jdbc:sqlite:")
        path = path.partition("?")[0]
        path = path[2:].removeprefix("/") if path.startswith("//") else path
        if path in ("", MEMORY):
            return MEMORY
        return path if Path(path).is_absolute() else str(inside(ctx.working_dir(), path))

    def with_file(self, ctx: RunContext, outputs: Mapping[str, Json]) -> Mapping[str, Json]:
        """The outputs with the database, where it is to be kept."""
        path = self._path(ctx)
        if path == MEMORY or not ctx.render(self.output_db_file):
            return outputs
        return {**outputs, "databaseUri": ctx.files.put(Path(path), Path(path).name)}


class Query(Sqlite, SqlQuery):
    """Run one SQL statement on a SQLite database; its rows become outputs or a stored file."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return self.with_file(ctx, super().run(ctx))


class Queries(Sqlite, SqlQueries):
    """Run SQL statements on a SQLite database, all or none; the output `outputs` lists what those with rows have given."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return self.with_file(ctx, super().run(ctx))


class Trigger(Sqlite, SqlTrigger):
    """Start an execution when an SQL statement gives at least one row of a SQLite database."""
