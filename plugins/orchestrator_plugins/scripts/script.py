"""Running a script: the same steps for every language and every runner."""

from __future__ import annotations

import shlex
from abc import abstractmethod
from collections.abc import Mapping, Sequence

from pydantic import Field

from orchestrator.sdk import Dynamic, Job, JobExit, Json, PhaseName, RunContext, TaskFailed, Text, Warned, is_template, job_labels, parse_duration, text_map
from orchestrator.sdk.folders import checked_patterns
from orchestrator_plugins.scripts.desk import Desk, desk_of
from orchestrator_plugins.scripts.files import keep_output_files, put_input_files, put_namespace_files, with_local_copies
from orchestrator_plugins.scripts.interpreters import failing_fast, file_suffix, reading_file
from orchestrator_plugins.scripts.properties import ScriptTask, Words, words
from orchestrator_plugins.scripts.speech import Speech

INLINE = 8192  # bytes of a script given as an argument; a longer one is given as a file
EVERYTHING = "**"


class Running(ScriptTask):
    """A script task that can be run."""

    @abstractmethod
    def argv(self, ctx: RunContext, desk: Desk) -> tuple[str, ...]:
        """The whole command line."""

    def run(self, ctx: RunContext) -> Mapping[str, Json]:
        runner = ctx.runner(self.runner_spec())
        desk = desk_of(ctx, runner, output_dir=ctx.render(self.wants_output_dir()))
        ctx = ctx.with_variables(desk.variables())
        patterns = checked_patterns(ctx.render(self.output_files) or ())
        ctx = ctx.with_variables({"outputFiles": desk.of_outputs(patterns)})
        if not (ctx.adopts() and desk.is_laid_out()):
            self.lay_out(ctx, desk)
        said = self.hearing(ctx)
        ended = ctx.run_job(runner, self._job(ctx, desk, patterns), said)
        return self.result(ctx, ended, said, keep_output_files(ctx, desk, patterns))

    def lay_out(self, ctx: RunContext, desk: Desk) -> None:
        """Put the files there that the command is to find."""
        if self.namespace_files is not None or self.input_files is not None:
            ctx.phase(PhaseName.FILES_IN)
        put_namespace_files(ctx, self.namespace_files, desk.folder)
        put_input_files(ctx, ctx.render(self.input_files), desk.folder)

    def hearing(self, ctx: RunContext) -> Speech:
        """Who hears the command out."""
        return Speech(ctx)

    def brought_back(self, ctx: RunContext) -> Sequence[str]:
        """What the runner brings back beside the output files."""
        return (EVERYTHING,) if ctx.render(self.sync_working_directory) else ()

    def wrapped(self, ctx: RunContext, desk: Desk, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The command line with what must be done before it."""
        return argv

    def own_env(self, ctx: RunContext, desk: Desk) -> Mapping[str, str]:
        """Variables that the task itself sets; those that the user sets win."""
        return self.language.env

    def _job(self, ctx: RunContext, desk: Desk, patterns: tuple[str, ...]) -> Job:
        return Job(
            key=desk.key,
            argv=self.wrapped(ctx, desk, self.argv(ctx, desk)),
            env={**self.own_env(ctx, desk), **text_map(ctx.render(self.env) or {}), **desk.env()},
            working_dir=str(desk.folder),
            image=ctx.render(self.image()),
            output_files=(*patterns, *self.brought_back(ctx)),
            output_dir=desk.output_dir,
            timeout=parse_duration(self.timeout) if self.timeout and not is_template(self.timeout) else None,
            labels=job_labels(ctx.info),
        )

    def result(self, ctx: RunContext, ended: JobExit, said: Speech, files: Mapping[str, str]) -> Mapping[str, Json]:
        """The task's outputs. Raises TaskFailed with them for any exit code but 0, Warned for what was said on stderr."""
        outputs: dict[str, Json] = {
            "exitCode": ended.code,
            "vars": said.vars,
            "outputFiles": files,
            "stdOutLineCount": said.stdout_lines,
            "stdErrLineCount": said.stderr_lines,
            "taskRunner": dict(ended.details),
            **({"assets": said.assets} if said.assets else {}),
        }
        if ended.code != 0:
            raise _failure(ended, outputs)
        if said.stderr_lines and ctx.render(self.warning_on_std_err):
            raise Warned(None, outputs)
        return outputs

    def joined(self, ctx: RunContext, commands: Sequence[str], desk: Desk) -> str:
        """All commands as one text for the interpreter."""
        windows = ctx.render(self.target_os) == "WINDOWS"
        lines = [*words(ctx, self.before_commands), *commands]
        if ctx.render(self.fail_fast) and not windows:
            lines = [*failing_fast(words(ctx, self.interpreter)), *lines]
        return with_local_copies(ctx, ("\r\n" if windows else "\n").join(lines), desk)

    def interpreted(self, ctx: RunContext, text: str, desk: Desk) -> tuple[str, ...]:
        """The command line that gives a text to the interpreter: as a file where it is long or holds a secret."""
        interpreter = words(ctx, self.interpreter)
        if not interpreter:
            raise TaskFailed("`interpreter` is empty, and there are `beforeCommands` or a script that need one")
        reading = reading_file(interpreter)
        if reading is None or fits(ctx, desk, text):
            return shown(ctx, desk, (*interpreter, text))
        return (*reading, desk.write(desk.own_name(file_suffix(interpreter)), text))


def fits(ctx: RunContext, desk: Desk, text: str) -> bool:
    """Whether a text is given as an argument, not as a file. Raises TaskFailed when it must be a file and none can travel."""
    is_short = len(text.encode()) <= INLINE
    if not desk.takes_files and not is_short:
        raise TaskFailed(f"the script is longer than {INLINE} bytes, so it travels as a file, and this task runner takes none without a `bucket`: set one")
    return is_short and not (desk.takes_files and ctx.holds_secret(text))


def shown(ctx: RunContext, desk: Desk, argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command line, which every process of the machine may read. Raises TaskFailed when it holds a secret.

    A runner that takes no files keeps `Job.secrets` out of sight by its own means.
    """
    if desk.takes_files and any(ctx.holds_secret(word) for word in argv):
        raise TaskFailed(
            "the command line would hold a secret, which every process of the machine may read: "
            "pass it by `env`, or leave `interpreter` as it is, and the commands are given as a file"
        )
    return argv


def _failure(ended: JobExit, outputs: dict[str, Json]) -> TaskFailed:
    reason = ended.reason or ("it ran out of memory" if ended.oom_killed else None)
    message = f"Command failed with exit code {ended.code}" + (f": {reason}" if reason else "")
    return TaskFailed(message, outputs=outputs, exit_code=ended.code, cause="OOM" if ended.oom_killed else "EXIT_CODE")


class Commands(Running):
    """Run commands."""

    commands: Words = Field(min_length=1, description="The commands, run one after another in one shell.", examples=[["echo hello", "cat data.csv | wc -l"]])

    def argv(self, ctx: RunContext, desk: Desk) -> tuple[str, ...]:
        if not self.before_commands and not self.interpreter:
            return shown(ctx, desk, tuple(with_local_copies(ctx, word, desk) for word in words(ctx, self.commands)))
        return self.interpreted(ctx, self.joined(ctx, self.lines(ctx), desk), desk)

    def lines(self, ctx: RunContext) -> Sequence[str]:
        """The commands as they are given to the interpreter."""
        return words(ctx, self.commands)


class Script(Running):
    """Run a script."""

    script: Dynamic[Text] = Field(description="The script's text.", examples=["echo hello\n"])

    def argv(self, ctx: RunContext, desk: Desk) -> tuple[str, ...]:
        language = self.language
        if language.program is None:
            return self.interpreted(ctx, self.joined(ctx, (ctx.render(self.script),), desk), desk)
        source = with_local_copies(ctx, ctx.render(self.script), desk)
        name = desk.own_name(language.suffix, plain=language.plain_name)
        source = language.prepared(source, desk.seen(name))
        if not desk.takes_files:
            return self._inline(ctx, desk, source)
        path = desk.write(name, source)
        if not self.before_commands and "interpreter" not in self.model_fields_set:
            return (*language.program, path)
        return self.interpreted(ctx, self.joined(ctx, (language.called(language.program, path),), desk), desk)

    def _inline(self, ctx: RunContext, desk: Desk, source: str) -> tuple[str, ...]:
        """The script as an argument of its program."""
        inline = self.language.inline
        if inline is None:
            raise TaskFailed(
                f"a script for `{' '.join(self.language.program or ())}` travels as a file, and this task runner takes none without a `bucket`: set one"
            )
        fits(ctx, desk, source)
        if not self.before_commands and "interpreter" not in self.model_fields_set:
            return (*inline, source)
        return self.interpreted(ctx, self.joined(ctx, (shlex.join((*inline, source)),), desk), desk)
