"""DuckDB: queries in memory, on a file, or on stored files, and starting executions by what they find."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, RunContext, TaskFailed, Text, text_of
from orchestrator.sdk.folders import inside
from orchestrator_plugins.jdbc.driver import Driver, missing
from orchestrator_plugins.jdbc.properties import Database
from orchestrator_plugins.jdbc.query import SqlQueries, SqlQuery, SqlTrigger

MEMORY = ":memory:"
STORED = "kestra://"


class DuckDb(Database, ABC):
    """Which DuckDB database: one in memory, a file of the worker, or a stored one."""

    preloads: ClassVar[tuple[str, ...]] = ("orchestrator_plugins.jdbc.duckdb_client",)

    url: Dynamic[Text] = Field("jdbc:duckdb:", description="`jdbc:duckdb:` for a database in memory, with the path of a file behind it for that file.")
    database_uri: Dynamic[Text] | None = Field(None, description="The URI of a stored database to work on a copy of.")
    input_files: Mapping[str, Json] | None = Field(
        None,
        description="Files by name: content, or the URI of a stored file. The SQL reads them by their names.",
        examples=[{"sales.csv": "{{ outputs.download.uri }}"}],
    )

    def driver(self, ctx: RunContext) -> Driver:
        try:
            from orchestrator_plugins.jdbc.duckdb_client import Duck
        except ImportError as err:
            raise missing("DuckDB", "duckdb", err) from err
        folder, path = ctx.working_dir(), self._path(ctx)
        for name, content in (self.input_files or {}).items():
            _put(ctx, inside(folder, ctx.render(name)), "" if content is None else ctx.render(text_of(content)))
        uri = ctx.render(self.database_uri)
        if uri and path != MEMORY:
            ctx.files.fetch(uri, Path(path))
        return Duck(path, folder, ctx.render(self.time_zone_id) or "UTC")

    def _path(self, ctx: RunContext) -> str:
        scheme, found, path = ctx.render(self.url).strip().removeprefix("jdbc:").partition(":")
        if scheme != "duckdb" or not found:
            raise TaskFailed("url: it must begin with jdbc:duckdb:")
        path = path.partition("?")[0].removeprefix("//")
        if path in ("", MEMORY):
            return str(inside(ctx.working_dir(), "database.duckdb")) if self.database_uri is not None else MEMORY
        return path if Path(path).is_absolute() else str(inside(ctx.working_dir(), path))


class Keeping(DuckDb, ABC):
    """What is kept of a database and its folder."""

    output_files: tuple[Text, ...] = Field((), description="Names of files that the SQL writes, as `{{ outputFiles.name }}`; they are stored.")
    output_db_file: Dynamic[bool] = Field(False, description="Whether the database is kept as a stored file, as the output `databaseUri`.")

    def with_paths(self, ctx: RunContext) -> RunContext:
        """The context with the names that the SQL may use: `workingDir`, and `outputFiles` by name."""
        folder = ctx.working_dir()
        names = {ctx.render(name): str(inside(folder, ctx.render(name))) for name in self.output_files}
        return ctx.with_variables({"workingDir": str(folder), "outputFiles": names})

    def with_files(self, ctx: RunContext, outputs: Mapping[str, Json]) -> Mapping[str, Json]:
        """The outputs with what is kept besides. Raises TaskFailed for a file that the SQL has not made."""
        found = dict(outputs)
        if self.output_files:
            found["outputFiles"] = {ctx.render(name): _kept(ctx, ctx.render(name)) for name in self.output_files}
        path = self._path(ctx)
        if path != MEMORY and ctx.render(self.output_db_file):
            found["databaseUri"] = ctx.files.put(Path(path), Path(path).name)
        return found


def _put(ctx: RunContext, path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if content.strip().startswith(STORED):
        ctx.files.fetch(content.strip(), path)
    else:
        path.write_text(content)


def _kept(ctx: RunContext, name: str) -> str:
    path = inside(ctx.working_dir(), name)
    if not path.is_file():
        raise TaskFailed(f"outputFiles: the SQL has made no file `{name}`; write it to '{{{{ outputFiles.{name} }}}}'")
    return ctx.files.put(path, path.name)


class Query(Keeping, SqlQuery):
    """Run one SQL statement on a DuckDB database; its rows become outputs or a stored file."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return self.with_files(ctx, super().run(self.with_paths(ctx)))


class Queries(Keeping, SqlQueries):
    """Run SQL statements on a DuckDB database, all or none; the output `outputs` lists what those with rows have given."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return self.with_files(ctx, super().run(self.with_paths(ctx)))


class Trigger(DuckDb, SqlTrigger):
    """Start an execution when an SQL statement gives at least one row of a DuckDB database."""
