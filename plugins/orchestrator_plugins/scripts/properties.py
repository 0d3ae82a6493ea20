"""The properties that every script task has, and the older spellings of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from orchestrator.sdk import Dynamic, Json, Parsed, PluginModel, RunContext, Task, Text
from orchestrator_plugins.scripts.languages import Language

PROCESS = "io.kestra.plugin.core.runner.Process"
DOCKER = "io.kestra.plugin.scripts.runner.docker.Docker"
_OLD_DOCKER_NAMES = {"dockerHost": "host", "dockerConfig": "config"}

Words = Annotated[tuple[Dynamic[Text], ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else () if value is None else value)]


def words(ctx: RunContext, written: Words) -> tuple[str, ...]:
    """Every word rendered."""
    return tuple(ctx.render(word) for word in written)


class NamespaceFiles(PluginModel):
    """Which files of a namespace are put into the working directory."""

    enabled: Dynamic[bool] = True
    include: Words = ()
    exclude: Words = ()
    namespaces: Words = ()


class ScriptTask(Task):
    """What script tasks of all languages share; a language's own classes say which language they are."""

    language: ClassVar[Language]

    container_image: Dynamic[Text] | None = Field(None, description="The image to run in, where the task runner uses images.")
    task_runner: Mapping[str, Json] | None = Field(None, description="Where the commands run: a runner's `type` and its properties.")
    interpreter: Words = Field(("/bin/sh", "-c"), description="The program that is given the commands, joined to one text, as its last argument.")
    before_commands: Words = Field((), description="Commands to run first, in the same shell.")
    fail_fast: Dynamic[bool] = Field(True, description="Whether the first command that fails ends the run.")
    env: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(None, description="Environment variables for the commands.")
    input_files: Dynamic[Parsed[Mapping[str, Json]]] | None = Field(
        None, description="Files to make in the working directory: name to content or `kestra://` URI."
    )
    namespace_files: NamespaceFiles | None = Field(None, description="Files of the namespace to put into the working directory.")
    output_files: Dynamic[Parsed[tuple[Text, ...]]] | None = Field(None, description="Files to keep, as paths or globs within the working directory.")
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
