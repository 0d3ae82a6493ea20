"""Files of the internal storage: put together, turned round, measured, removed."""

from __future__ import annotations

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from orchestrator.sdk import Dynamic, Json, Parsed, RunContext, Task, TaskFailed, Text, text_of
from orchestrator.sdk.folders import checked_patterns, inside, matching
from orchestrator_plugins.core.rows import BLOCK, checked, folder_of, name_of, rows_backwards
from orchestrator_plugins.core.written import STORED, words


class Concat(Task):
    """Put files together into one, in the order given."""

    files: Dynamic[Any] = Field(description="The files' URIs: a list, or a template that gives one.", examples=["{{ outputs.split.uris }}"])
    separator: Dynamic[Text] | None = Field(None, description="What comes after each file.")
    extension: Dynamic[Text] = Field(".tmp", description="How the new file's name ends.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        after = (ctx.render(self.separator) or "").encode()
        with folder_of(ctx) as folder:
            whole = folder / "whole"
            with whole.open("wb") as out:
                for uri in words(ctx.render(self.files)):
                    with ctx.files.open(uri) as file:
                        shutil.copyfileobj(file, out, BLOCK)
                    out.write(after)
            return {"uri": ctx.files.put(whole, f"concat{ctx.render(self.extension)}")}


class Write(Task):
    """Keep a text as a file; its URI is the output `uri`."""

    content: Dynamic[Text] = Field(description="What the file holds, in UTF-8.", examples=["{{ outputs.request.body }}"])
    extension: Dynamic[Text] | None = Field(None, description="How the file's name ends.", examples=[".txt"])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        content = io.BytesIO(ctx.render(self.content).encode())
        return {"uri": ctx.files.put(content, f"written{ctx.render(self.extension) or ''}")}


class Reverse(Task):
    """Turn the order of a file's lines round."""

    from_: Dynamic[Text] = Field(alias="from", description="The file's URI.")
    separator: Dynamic[Text] = Field("\n", description="What ends a line.")
    charset: Dynamic[Text] = Field("UTF-8", description="The file's encoding.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        uri, after = ctx.render(self.from_), encoded(ctx.render(self.separator), ctx.render(self.charset))
        with folder_of(ctx) as folder:
            ctx.files.fetch(uri, folder / "from")
            with (folder / "from").open("rb") as file, (folder / "turned").open("wb") as out:
                for row in checked(ctx, rows_backwards(file, after)):
                    out.write(row + after)
            return {"uri": ctx.files.put(folder / "turned", name_of(uri))}


class Size(Task):
    """Give the size of a file in bytes back as the output `size`."""

    uri: Dynamic[Text] = Field(description="The file's URI.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return {"size": ctx.files.size(ctx.render(self.uri))}


class Delete(Task):
    """Remove a file of this execution; the output `deleted` says whether it was there."""

    uri: Dynamic[Text] = Field(description="The file's URI.")
    error_on_missing: Dynamic[bool] = Field(False, description="Whether the task fails when there is no such file.")

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        uri = ctx.render(self.uri)
        deleted = ctx.files.delete(uri)
        if not deleted and ctx.render(self.error_on_missing):
            raise TaskFailed(f"Unable to delete the file '{uri}': it does not exist, and `errorOnMissing` is true")
        return {"uri": uri, "deleted": deleted}


class PurgeCurrentExecutionFiles(Task):
    """Remove all files of this execution; the output `uris` names them."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        return {"uris": list(ctx.files.purge())}


class LocalFiles(Task):
    """Make files in the working directory, and keep files of it in the internal storage."""

    inputs: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(None, description="Files to make, by path: text, or the URI of a stored file.")
    outputs: Dynamic[Parsed[Sequence[str]]] | None = Field(None, description="Files to keep: paths, or patterns.", examples=[["out/**.csv"]])

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        folder = ctx.working_dir()
        for name, content in (ctx.render(self.inputs) or {}).items():
            make_file(ctx, inside(folder, name), "" if content is None else text_of(content))
        found = matching(folder, checked_patterns(ctx.render(self.outputs) or ()), (".between-",))
        return {"uris": {relative: ctx.files.put(folder / relative, Path(relative).name) for relative in found}}


def make_file(ctx: RunContext, path: Path, content: str) -> None:
    """Make a file: with this content, or that of the stored file whose URI it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content.strip().startswith(STORED):
        ctx.files.fetch(content.strip(), path)
    else:
        path.write_text(content)


def encoded(text: str, charset: str) -> bytes:
    """Text in an encoding. Raises TaskFailed for one that there is not."""
    try:
        return text.encode(charset)
    except LookupError as err:
        raise TaskFailed(f"there is no charset '{charset}'") from err
