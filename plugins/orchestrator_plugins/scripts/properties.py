"""The properties that every script task has, and the older spellings of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from orchestrator.sdk import Dynamic, Json, Parsed, PluginModel, RunContext, Task, Template, Text, text_of
from orchestrator_plugins.scripts.languages import Language

PROCESS = "io.kestra.plugin.core.runner.Process"
DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
INTERPRETER = "The program that is given the commands, joined to one text, as its last argument; none: the commands are the command line."
_OLD_DOCKER_NAMES = {"dockerHost": "host", "dockerConfig": "config"}

Words = Annotated[tuple[Dynamic[Text], ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else () if value is None else value)]


def words(ctx: RunContext, written: Words) -> tuple[str, ...]:
    """Every word rendered; a lone template that gives a list stands for all its items."""
    rendered = tuple(ctx.render(word) for word in written)
    return _items(rendered[0]) if len(rendered) == 1 and isinstance(written[0], Template) else rendered


def _items(text: str) -> tuple[str, ...]:
    try:
        found = json.loads(text) if text.startswith("[") else None
    except ValueError:
        found = None
    plain = isinstance(found, list) and all(isinstance(item, str | int | float) for item in found)
    return tuple(text_of(item) for item in found or ()) if plain else (text,)


class NamespaceFiles(PluginModel):
    """Which files of a namespace are put into the working directory."""

    enabled: Dynamic[bool] = Field(True, description="Whether any are.")
    include: Words = Field((), description="Globs of the paths to take; all where none is given.", examples=[["scripts/**", "*.sql"]])
    exclude: Words = Field((), description="Globs of the paths to leave out.")
    namespaces: Words = Field((), description="The namespaces to take them from, a later one over an earlier; the flow's own where none is given.")
    folder_per_namespace: Dynamic[bool] = Field(False, description="Whether each namespace gets a folder of its name.")
    if_exists: Dynamic[Literal["OVERWRITE", "WARN", "IGNORE", "FAIL"]] = Field("OVERWRITE", description="What becomes of a file that is there already.")


class ScriptTask(Task):
    """What script tasks of all languages share; a language's own classes say which language they are."""

    language: ClassVar[Language]

    container_image: Dynamic[Text] | None = Field(
        None, description="The image to run in, where the task runner uses images; the language's own when not set.", examples=["python:3.12-slim"]
    )
    task_runner: Mapping[str, Json] | None = Field(
        None, description="Where the commands run: a runner's `type` and its properties; the server chooses when not set."
    )
    interpreter: Words = Field(("/bin/sh", "-c"), description=INTERPRETER)
    before_commands: Words = Field((), description="Commands to run first, in the same shell.")
    fail_fast: Dynamic[bool] = Field(True, description="Whether the first command that fails ends the run.")
    env: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(
        None, description="Environment variables for the commands.", examples=[{"TOKEN": "{{ secret('TOKEN') }}"}]
    )
    input_files: Dynamic[Parsed[Mapping[str, Json] | tuple[str, ...]]] | None = Field(
        None,
        description="Files to make in the working directory: name to content, or to the URI of a stored file (`kestra://`, `nsfile://`); or a list of URIs.",
        examples=[{"data.csv": "{{ outputs.extract.uri }}", "query.sql": "select 1"}],
    )
    namespace_files: NamespaceFiles | None = Field(None, description="Files of the namespace to put into the working directory.")
    output_files: Dynamic[Parsed[tuple[Text, ...]]] | None = Field(
        None, description="Files to keep, as paths or globs within the working directory.", examples=[["report.html", "out/**"]]
    )
    sync_working_directory: Dynamic[bool] = Field(
        False, description="Whether a runner whose files travel brings back the whole working directory, not only what is kept."
    )
    output_directory: Dynamic[bool] | None = Field(None, description="Whether to make `{{ outputDir }}` and keep every file put there.")
    warning_on_std_err: Dynamic[bool] = Field(True, description="Whether anything written to stderr ends the task in WARNING.")
    target_os: Dynamic[Literal["AUTO", "LINUX", "WINDOWS"]] = Field("AUTO", alias="targetOS", description="Whose line separators the commands are joined with.")
    runner: Literal["PROCESS", "DOCKER"] | None = Field(None, description="Older name of `taskRunner`; wins over it.", json_schema_extra={"deprecated": True})
    docker: Mapping[str, Json] | None = Field(
        None, description="Older place of the Docker runner's properties and of `image`.", json_schema_extra={"deprecated": True}
    )

    def runner_spec(self) -> Mapping[str, Json] | None:
        """The task runner's type and properties, whichever way they were written; None where the server chooses."""
        if self.runner == "PROCESS":
            return {"type": PROCESS}
        if self.runner == "DOCKER" or (self.docker is not None and self.task_runner is None):
            options = {_OLD_DOCKER_NAMES.get(name, name): value for name, value in (self.docker or {}).items() if name != "image"}
            return {"type": DOCKER, **options}
        return self.task_runner

    def image(self) -> Dynamic[str]:
        """The image asked for, or the language's own."""
        if self.container_image is not None:
            return self.container_image
        old: Json = (self.docker or {}).get("image")
        return str(old) if old else self.language.image

    def wants_output_dir(self) -> Dynamic[bool]:
        """Whether the output directory is asked for; the older `runner` property turns it on."""
        return self.runner is not None if self.output_directory is None else self.output_directory
