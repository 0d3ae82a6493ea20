"""Running a script: the same steps for every language and every runner."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from orchestrator.sdk import (
    Dynamic,
    Job,
    JobExit,
    Json,
    PhaseName,
    RunContext,
    TaskFailed,
    TaskRunner,
    Text,
    Warned,
    is_template,
    job_key,
    job_labels,
    parse_duration,
    text_map,
)
from orchestrator.sdk.folders import checked_patterns
from orchestrator_plugins.scripts.files import keep_output_files, put_input_files, put_namespace_files, with_local_copies
from orchestrator_plugins.scripts.properties import ScriptTask, Words, words
from orchestrator_plugins.scripts.speech import Speech

INLINE = 8192  # bytes of a script given as an argument; a longer one is given as a file


@dataclass(frozen=True)
class Desk:
    """Where one run works: its folder here, the same folder as the command sees it, and the name of what it makes."""

    folder: Path
    seen_as: str
    key: str
    output_dir: str | None

    def variables(self) -> Mapping[str, str]:
        """The names for templates."""
        return {"workingDir": self.seen_as, **({} if self.output_dir is None else {"outputDir": f"{self.seen_as}/{self.output_dir}"})}

    def env(self) -> Mapping[str, str]:
        """The names for the command."""
        return {"WORKING_DIR": self.seen_as, **({} if self.output_dir is None else {"OUTPUT_DIR": f"{self.seen_as}/{self.output_dir}"})}


class Running(ScriptTask):
    """A script task that can be run."""

    @abstractmethod
    def argv(self, ctx: RunContext, desk: Desk) -> tuple[str, ...]:
        """The whole command line."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        runner = ctx.runner(self.runner_spec())
        desk = self._desk(ctx, runner)
        ctx = ctx.with_variables(desk.variables())
        patterns = checked_patterns(ctx.render(self.output_files) or ())
        job = self._job(ctx, desk, patterns)
        said = Speech(ctx)
        ended = ctx.run_job(runner, job, said)
        output_dir = None if desk.output_dir is None else desk.folder / desk.output_dir
        return self._result(ctx, ended, said, keep_output_files(ctx, desk.folder, patterns, output_dir))

    def _desk(self, ctx: RunContext, runner: TaskRunner) -> Desk:
        key, folder = job_key(ctx.info), ctx.working_dir()
        output_dir = f"out-{key[-16:]}" if ctx.render(self.wants_output_dir()) else None
        if output_dir is not None:
            (folder / output_dir).mkdir(exist_ok=True)
        return Desk(folder=folder, seen_as=runner.working_dir(key, str(folder)), key=key, output_dir=output_dir)

    def _job(self, ctx: RunContext, desk: Desk, patterns: tuple[str, ...]) -> Job:
        if self.namespace_files is not None or self.input_files is not None:
            ctx.phase(PhaseName.FILES_IN)
        put_namespace_files(ctx, self.namespace_files, desk.folder)
        put_input_files(ctx, ctx.render(self.input_files), desk.folder)
        return Job(
            key=desk.key,
            argv=self.argv(ctx, desk),
            env={**self.language.env, **text_map(ctx.render(self.env) or {}), **desk.env()},
            working_dir=str(desk.folder),
            image=ctx.render(self.image()),
            output_files=patterns,
            output_dir=desk.output_dir,
            timeout=parse_duration(self.timeout) if self.timeout and not is_template(self.timeout) else None,
            labels=job_labels(ctx.info),
        )

    def _result(self, ctx: RunContext, ended: JobExit, said: Speech, files: Mapping[str, str]) -> Mapping[str, Json]:
        outputs: dict[str, Json] = {
            "exitCode": ended.code,
            "vars": said.vars,
            "outputFiles": files,
            "stdOutLineCount": said.stdout_lines,
            "stdErrLineCount": said.stderr_lines,
            "taskRunner": dict(ended.details),
        }
        if ended.code != 0:
            raise _failure(ended, outputs)
        if said.stderr_lines and ctx.render(self.warning_on_std_err):
            raise Warned(None, outputs)
        return outputs

    def _joined(self, ctx: RunContext, commands: Words, desk: Desk) -> str:
        lines = [*words(ctx, self.before_commands), *words(ctx, commands)]
        windows = ctx.render(self.target_os) == "WINDOWS"
        if ctx.render(self.fail_fast) and not windows:
            lines.insert(0, "set -e")
        return with_local_copies(ctx, ("\r\n" if windows else "\n").join(lines), desk.folder, desk.seen_as)

    def _interpreted(self, ctx: RunContext, text: str, desk: Desk) -> tuple[str, ...]:
        interpreter = words(ctx, self.interpreter)
        if len(text.encode()) <= INLINE or not interpreter[-1:] or not interpreter[-1].startswith("-"):
            return (*interpreter, text)
        option = interpreter[-1].removesuffix("c")  # `-c` takes a text, no option a file; `-ec` becomes `-e`
        return (*interpreter[:-1], *((option,) if option != "-" else ()), _file(desk, text, ".sh"))


def _failure(ended: JobExit, outputs: dict[str, Json]) -> TaskFailed:
    reason = ended.reason or ("it ran out of memory" if ended.oom_killed else None)
    message = f"Command failed with exit code {ended.code}" + (f": {reason}" if reason else "")
    return TaskFailed(message, outputs=outputs, exit_code=ended.code, cause="OOM" if ended.oom_killed else "EXIT_CODE")


def _file(desk: Desk, text: str, suffix: str) -> str:
    name = f".script-{desk.key[-16:]}{suffix}"
    (desk.folder / name).write_text(text)
    return f"{desk.seen_as}/{name}"


class Commands(Running):
    """Run commands."""

    commands: Words = Field(min_length=1, description="The commands, run one after another in one shell.", examples=[["echo hello", "cat data.csv | wc -l"]])

    def argv(self, ctx: RunContext, desk: Desk) -> tuple[str, ...]:
        if not self.before_commands and not self.interpreter:
            return tuple(with_local_copies(ctx, word, desk.folder, desk.seen_as) for word in words(ctx, self.commands))
        return self._interpreted(ctx, self._joined(ctx, self.commands, desk), desk)


class Script(Running):
    """Run a script."""

    script: Dynamic[Text] = Field(description="The script's text.")

    def argv(self, ctx: RunContext, desk: Desk) -> tuple[str, ...]:
        program = self.language.program
        if program is None:
            return self._interpreted(ctx, self._joined(ctx, (self.script,), desk), desk)
        source = with_local_copies(ctx, ctx.render(self.script), desk.folder, desk.seen_as)
        name = f"{desk.seen_as}/.script-{desk.key[-16:]}{self.language.suffix}"
        path = _file(desk, self.language.prepared(source, name), self.language.suffix)
        if not self.before_commands and "interpreter" not in self.model_fields_set:
            return (*program, path)
        return self._interpreted(ctx, self._joined(ctx, (" ".join((*program, f"'{path}'")),), desk), desk)
