"""Files of a namespace: uploaded, downloaded, deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, RunContext, Task, TaskFailed, Text
from orchestrator.sdk.folders import checked_patterns, matching
from orchestrator.sdk.globs import matches_anywhere
from orchestrator_plugins.core.rows import folder_of, name_of
from orchestrator_plugins.core.written import STORED, parsed, text_by_name, words


class Conflict(StrEnum):
    """What happens to a file that is there already."""

    OVERWRITE = "OVERWRITE"
    ERROR = "ERROR"
    SKIP = "SKIP"


class UploadFiles(Task):
    """Put files of the working directory, or stored files, into a namespace; the output `files` maps their paths to URIs."""

    namespace: Dynamic[Text] | None = Field(None, description="Whose files; without it the flow's own namespace.")
    files: Dynamic[Any] | None = Field(None, description="Patterns of files of the working directory, or a map of paths to stored files' URIs.")
    files_map: Dynamic[Any] | None = Field(None, description="A map of paths to stored files' URIs.")
    destination: Dynamic[Text] = Field("/", description="The folder they are put into.")
    conflict: Dynamic[Conflict] = Field(Conflict.OVERWRITE, description="What happens to a file that is there already.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        namespace, conflict = ctx.render(self.namespace) or ctx.info.namespace, Conflict(ctx.render(self.conflict))
        there = frozenset(ctx.files.namespace_files(namespace))
        uploaded: dict[str, Json] = {}
        with folder_of(ctx) as folder:
            for name, source in self._sources(ctx):
                path = _below(ctx.render(self.destination), name)
                if path in there and conflict is Conflict.ERROR:
                    raise TaskFailed(f"the file '{path}' exists already in namespace '{namespace}', and `conflict` is ERROR")
                if path not in there or conflict is Conflict.OVERWRITE:
                    ctx.files.put_namespace_file(namespace, path, _local(ctx, source, folder))
                    uploaded[path] = f"{STORED}/{namespace.replace('.', '/')}/_files{path}"
        return {"files": uploaded}

    def _sources(self, ctx: RunContext) -> Iterator[tuple[str, Path | str]]:
        """Names, and what they stand for: a local file, or the URI of a stored one."""
        files = parsed(ctx.render(self.files))
        if isinstance(files, Mapping):
            yield from text_by_name(files).items()
        elif files is not None:
            yield from ((name_of(uri), uri) for uri in words(files) if uri.startswith(STORED))
            patterns = checked_patterns([word.removeprefix("glob:") for word in words(files) if not word.startswith(STORED)])
            for relative in matching(ctx.working_dir(), patterns, (".between-",)):
                yield relative, ctx.working_dir() / relative
        if self.files_map is not None:
            yield from text_by_name(ctx.render(self.files_map)).items()


def _local(ctx: RunContext, source: Path | str, folder: Path) -> Path:
    if isinstance(source, Path):
        return source
    if not source.startswith(STORED):
        raise TaskFailed(f"`{source[:100]}` is not the URI of a stored file")
    ctx.files.fetch(source, folder / "stored")
    return folder / "stored"


class DownloadFiles(Task):
    """Copy files of a namespace to the internal storage; the output `files` maps their paths to URIs."""

    namespace: Dynamic[Text] | None = Field(None, description="Whose files; without it the flow's own namespace.")
    files: Dynamic[Any] = Field(description="Patterns of the paths: a list, or one text.", examples=[["**.sql"]])
    destination: Dynamic[Text] = Field("", description="A folder put before the paths in the output.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        namespace, destination = ctx.render(self.namespace) or ctx.info.namespace, ctx.render(self.destination)
        found: dict[str, Json] = {}
        with folder_of(ctx) as folder:
            for path in _chosen(ctx, namespace, ctx.render(self.files)):
                ctx.files.fetch_namespace_file(namespace, path, folder / "fetched")
                found[_below(destination, path)] = ctx.files.put(folder / "fetched", Path(path).name)
        ctx.metric("counter", "downloaded", len(found))
        return {"files": found}


class DeleteFiles(Task):
    """Remove files of a namespace."""

    namespace: Dynamic[Text] | None = Field(None, description="Whose files; without it the flow's own namespace.")
    files: Dynamic[Any] = Field(description="Patterns of the paths: a list, or one text.", examples=[["**.tmp"]])
    delete_parent_folder: Dynamic[bool] = Field(False, description="Taken for compatibility: a folder without files is always removed.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        namespace = ctx.render(self.namespace) or ctx.info.namespace
        deleted = sum(ctx.files.delete_namespace_file(namespace, path) for path in _chosen(ctx, namespace, ctx.render(self.files)))
        ctx.metric("counter", "deleted", deleted)
        return {}


def _chosen(ctx: RunContext, namespace: str, patterns: Json) -> list[str]:
    """The paths of a namespace that patterns mean."""
    wanted = [word.removeprefix("glob:") for word in words(patterns)]
    return [path for path in ctx.files.namespace_files(namespace) if any(matches_anywhere(pattern, path) for pattern in wanted)]


def _below(folder: str, name: str) -> str:
    return "/" + "/".join(part for part in (folder.strip("/"), name.strip("/")) if part)
