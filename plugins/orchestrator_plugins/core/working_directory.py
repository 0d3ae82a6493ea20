"""Tasks that share a folder."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from orchestrator.sdk import Duration, Dynamic, Json, NotFound, Parsed, PluginModel, RunContext, Text, Workspace, text_of
from orchestrator.sdk.folders import checked_patterns, inside, matching
from orchestrator.sdk.globs import matches_anywhere
from orchestrator_plugins.core.rows import folder_of
from orchestrator_plugins.core.storage import make_file

OWN = (".between-", ".script-", ".stored-")  # how names of files begin that no pattern means
RESTORED = ".stored-cache"  # marks a folder that was filled from the cache
Words = Annotated[tuple[Dynamic[Text], ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else () if value is None else value)]


class FromNamespace(PluginModel):
    """Which files of a namespace are put into the folder."""

    enabled: Dynamic[bool] = Field(True, description="Whether any are.")
    include: Words = Field((), description="Patterns of those to take; all by default.")
    exclude: Words = Field((), description="Patterns of those to leave out.", examples=[["/docs/**"]])
    namespaces: Words = Field((), description="The namespaces to take them from, the flow's own by default; of two files of one path the later stays.")


class Cache(PluginModel):
    """Files that the next execution finds in the folder again."""

    patterns: tuple[Text, ...] = Field(min_length=1, description="Which files.", examples=[["node_modules/**"]])
    ttl: Duration | None = Field(None, description="How long they are kept, an ISO-8601 duration; by default until they are made anew.", examples=["PT1H"])


class WorkingDirectory(Workspace):
    """Run tasks one after another on one worker, in one folder: each finds the files that those before it have left.

    The output `outputFiles` names the files that were kept. When the worker is lost, all of the tasks run again on another one.
    """

    input_files: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(None, description="Files to make, by path: text, or the URI of a stored file.")
    output_files: Dynamic[Parsed[Sequence[str]]] | None = Field(None, description="Files to keep at the end: paths, or patterns.", examples=[["out/**"]])
    namespace_files: FromNamespace | None = Field(None, description="Files of the namespace to put into the folder.")
    cache: Cache | None = Field(None, description="Files to keep for the next execution.")

    @model_validator(mode="after")
    def _some_tasks(self) -> WorkingDirectory:
        if not self.tasks:
            raise ValueError("The 'tasks' property cannot be empty")
        return self

    def open(self, ctx: RunContext) -> None:
        folder = ctx.working_dir()
        if self.cache is not None:
            _restore(ctx, self.cache, folder)
        _put_namespace_files(ctx, self.namespace_files, folder)
        for name, content in (ctx.render(self.input_files) or {}).items():
            make_file(ctx, inside(folder, name), "" if content is None else text_of(content))

    def close(self, ctx: RunContext) -> Mapping[str, Json]:
        folder = ctx.working_dir()
        if self.cache is not None:
            _keep(ctx, self.cache, folder)
        if self.output_files is None:
            return {}
        found = matching(folder, checked_patterns(ctx.render(self.output_files) or ()), OWN)
        return {"outputFiles": {relative: ctx.files.put(folder / relative, Path(relative).name) for relative in found}}


def _put_namespace_files(ctx: RunContext, wanted: FromNamespace | None, folder: Path) -> None:
    if wanted is None or not ctx.render(wanted.enabled):
        return
    include, exclude = [ctx.render(one) for one in wanted.include], [ctx.render(one) for one in wanted.exclude]
    for namespace in [ctx.render(one) for one in wanted.namespaces] or [ctx.info.namespace]:
        for path in ctx.files.namespace_files(namespace):
            if (not include or any(matches_anywhere(one, path) for one in include)) and not any(matches_anywhere(one, path) for one in exclude):
                ctx.files.fetch_namespace_file(namespace, path, inside(folder, path.lstrip("/")))


def _cache_name(ctx: RunContext) -> str:
    """Each iteration of a loop has a cache of its own."""
    value = ctx.variables.get("taskrun", {}).get("value")
    return ctx.info.task_id if value is None else f"{ctx.info.task_id}/{text_of(value)}"


def _restore(ctx: RunContext, cache: Cache, folder: Path) -> None:
    with folder_of(ctx) as between:
        try:
            ctx.files.fetch_cache(_cache_name(ctx), between / "cache", cache.ttl)
        except NotFound:
            return
        with tarfile.open(between / "cache") as kept:
            kept.extractall(folder, filter="data")
    (folder / RESTORED).touch()


def _keep(ctx: RunContext, cache: Cache, folder: Path) -> None:
    """Keep the files, unless they came out of the cache themselves: its time is counted from when it was made."""
    if (folder / RESTORED).exists():
        return
    with folder_of(ctx) as between:
        with tarfile.open(between / "cache", "w:gz") as kept:
            for path in matching(folder, checked_patterns(cache.patterns), OWN):
                kept.add(folder / path, path)
        ctx.files.put_cache(_cache_name(ctx), between / "cache")
