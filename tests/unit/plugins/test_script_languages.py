"""Every language of the table: what its tasks make of a script, and that it runs where this machine has the language."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import registry
from orchestrator.sdk import Json, Level, TaskFailed
from orchestrator.sdk.fakes import FakeContext, LocalProcesses
from orchestrator_plugins.process.runner import Process
from orchestrator_plugins.scripts.desk import Desk
from orchestrator_plugins.scripts.interpreters import failing_fast, file_suffix, reading_file
from orchestrator_plugins.scripts.script import Running
from tests.conftest import missing

KEY = "acme-flow-task-0123456789abcdef"
TABLE = {  # per language the image, and the command line of a script; FILE is where it lies
    "python": ("python:3.13-slim", ["python", "FILE.py"]),
    "node": ("node", ["node", "FILE.js"]),
    "bun": ("oven/bun", ["bun", "run", "FILE.ts"]),
    "deno": ("denoland/deno", ["deno", "run", "FILE.ts"]),
    "ruby": ("ruby", ["ruby", "FILE.rb"]),
    "perl": ("perl", ["perl", "FILE.pl"]),
    "php": ("php", ["php", "FILE.php"]),
    "lua": ("nickblah/lua", ["lua", "FILE.lua"]),
    "go": ("golang", ["go", "run", "FILE.go"]),
    "r": ("r-base", ["Rscript", "FILE.R"]),
    "julia": ("julia", ["julia", "FILE.jl"]),
    "powershell": ("mcr.microsoft.com/powershell", ["pwsh", "-NoProfile", "-NonInteractive", "-File", "FILE.ps1"]),
}
PROGRAMS = {  # prints an output and ends with 3
    "python": 'print(\'::{"outputs":{"a":1}}::\')\nraise SystemExit(3)\n',
    "node": 'console.log(\'::{"outputs":{"a":1}}::\')\nprocess.exitCode = 3\n',
    "bun": 'console.log(\'::{"outputs":{"a":1}}::\')\nprocess.exit(3)\n',
    "deno": 'console.log(\'::{"outputs":{"a":1}}::\')\nDeno.exit(3)\n',
    "ruby": 'puts \'::{"outputs":{"a":1}}::\'\nexit 3\n',
    "perl": 'print \'::{"outputs":{"a":1}}::\', "\\n";\nexit 3;\n',
    "php": '<?php echo \'::{"outputs":{"a":1}}::\', "\\n";\nexit(3);\n',
    "lua": 'print(\'::{"outputs":{"a":1}}::\')\nos.exit(3)\n',
    "r": 'cat(\'::{"outputs":{"a":1}}::\\n\')\nquit(status = 3)\n',
    "julia": 'println("::{\\"outputs\\":{\\"a\\":1}}::")\nexit(3)\n',
    "powershell": 'Write-Output \'::{"outputs":{"a":1}}::\'\nexit 3\n',
}
GO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("::{\\"outputs\\":{\\"a\\":1}}::") }\n'

UNPACKAGED = {"bun", "deno", "julia", "pwsh"}  # what `.ci/run` cannot install


class NoFiles(Process):
    """A runner that takes no files."""

    def takes_files(self) -> bool:
        return False


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[FakeContext]:
    processes = LocalProcesses()
    yield FakeContext(tmp_path, runner=Process(), processes=processes)
    processes.close()


def build(name: str, **properties: Any) -> Running:
    made: Running = registry.load("task", f"io.kestra.plugin.scripts.{name}").model_validate({"id": "t", "type": name, **properties})
    return made


def desk(folder: Path, *, takes_files: bool = True) -> Desk:
    return Desk(folder=folder, seen_as="/inside", key=KEY, output_dir=None, takes_files=takes_files)


def argv(ctx: FakeContext, tmp_path: Path, task: Running, **facts: Any) -> list[str]:
    """The command line with the script's file as FILE."""
    return [
        word.replace(f"/inside/.script-{KEY[-16:]}", "FILE").replace(f"/inside/script-{KEY[-16:]}", "FILE") for word in task.argv(ctx, desk(tmp_path, **facts))
    ]


@pytest.mark.parametrize("language", TABLE)
def test_a_script_is_a_file_that_its_program_runs(ctx: FakeContext, tmp_path: Path, language: str) -> None:
    image, command = TABLE[language]
    task = build(f"{language}.Script", script="the text")
    assert (task.image(), argv(ctx, tmp_path, task)) == (image, command)
    assert [path.read_text() for path in tmp_path.glob("*script-*")] == ["the text"]


@pytest.mark.parametrize("language", [language for language in TABLE if language != "powershell"])
def test_commands_before_a_script_run_in_the_shell_that_starts_it(ctx: FakeContext, tmp_path: Path, language: str) -> None:
    command = argv(ctx, tmp_path, build(f"{language}.Script", script="x", beforeCommands=["prepare"]))
    assert command == ["/bin/sh", "-c", "set -e\nprepare\n" + " ".join(TABLE[language][1])]


@pytest.mark.parametrize("language", ["shell", *(language for language in TABLE if language != "powershell")])
def test_commands_of_every_language_are_one_text_of_one_shell(ctx: FakeContext, tmp_path: Path, language: str) -> None:
    task = build(f"{language}.Commands", commands=["one", "two"], beforeCommands=["before"])
    assert argv(ctx, tmp_path, task) == ["/bin/sh", "-c", "set -e\nbefore\none\ntwo"]


def test_powershell_is_its_own_interpreter(ctx: FakeContext, tmp_path: Path) -> None:
    options = ["pwsh", "-NoProfile", "-NonInteractive"]
    stop = "$ErrorActionPreference = 'Stop'"
    assert argv(ctx, tmp_path, build("powershell.Commands", commands=["./main.ps1"])) == [*options, "-Command", f"{stop}\n./main.ps1"]
    with_before = build("powershell.Script", script="x", beforeCommands=["prepare"])
    assert argv(ctx, tmp_path, with_before) == [*options, "-Command", f"{stop}\nprepare\n& 'FILE.ps1'; exit $LASTEXITCODE"]
    assert argv(ctx, tmp_path, build("powershell.Commands", commands=["x" * 9000]))[3:] == ["-File", "FILE.ps1"]


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_script_of_every_language_here_gives_outputs_and_its_exit_code(ctx: FakeContext, language: str) -> None:
    program = TABLE[language][1][0]
    if shutil.which(program) is None:
        if program not in UNPACKAGED:
            missing(program)
        pytest.skip(f"this machine has no {program}, and Debian no package of it")
    with pytest.raises(TaskFailed, match="exit code 3") as caught:
        build(f"{language}.Script", script=PROGRAMS[language], env={"PATH": _path()}).run(ctx)
    assert caught.value.outputs["vars"] == {"a": 1}


def test_a_go_program_runs_and_its_file_is_no_output(ctx: FakeContext, tmp_path: Path) -> None:
    if shutil.which("go") is None:
        missing("go")
    variables = {"PATH": _path(), "GOCACHE": str(tmp_path / "go"), "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    outputs = build("go.Script", script=GO, env=variables, outputFiles=["**"]).run(ctx)
    assert (outputs["vars"], outputs["outputFiles"]) == ({"a": 1}, {})


def test_a_windows_target_has_its_line_ends_and_no_line_of_unix(ctx: FakeContext, tmp_path: Path) -> None:
    task = build("shell.Commands", commands=["one", "two"], interpreter=["cmd", "/c"], targetOS="WINDOWS")
    assert argv(ctx, tmp_path, task) == ["cmd", "/c", "one\r\ntwo"]


@pytest.mark.parametrize(
    ("interpreter", "first", "before_file"),
    [
        (["/bin/sh", "-c"], ("set -e",), ("/bin/sh",)),
        (["/usr/bin/env", "bash", "-ec"], ("set -e",), ("/usr/bin/env", "bash", "-e")),
        (["busybox", "sh", "-c"], ("set -e",), ("busybox", "sh")),
        (["bash", "-o", "pipefail", "-c"], ("set -e",), ("bash", "-o", "pipefail")),
        (["python3", "-c"], (), ("python3",)),
        (["node", "-e"], (), ("node",)),
        (["node", "--eval"], (), ("node",)),
        (["pwsh", "-Command"], ("$ErrorActionPreference = 'Stop'",), ("pwsh", "-File")),
        (["mine", "--run"], (), None),
        ([], (), None),
    ],
)
def test_what_is_known_of_an_interpreter(interpreter: list[str], first: tuple[str, ...], before_file: tuple[str, ...] | None) -> None:
    assert (failing_fast(interpreter), reading_file(interpreter)) == (first, before_file)


def test_only_powershell_wants_another_name() -> None:
    assert [file_suffix(one) for one in (["pwsh", "-Command"], ["/bin/sh", "-c"])] == [".ps1", ".sh"]


def test_commands_of_an_interpreter_without_such_a_line_get_none(ctx: FakeContext) -> None:
    build("python.Commands", commands=["print(1)", "print(2)"], interpreter=["python", "-c"]).run(ctx)
    assert [line for _, line in ctx.logger.lines] == ["1", "2"]


def test_commands_before_need_an_interpreter(ctx: FakeContext) -> None:
    with pytest.raises(TaskFailed, match="`interpreter` is empty"):
        build("shell.Commands", commands=["x"], beforeCommands=["y"], interpreter=[]).run(ctx)


@pytest.mark.parametrize(("language", "command"), [("python", ["python", "-c"]), ("node", ["node", "-e"]), ("deno", ["deno", "eval"])])
def test_where_no_file_travels_a_script_is_an_argument(ctx: FakeContext, tmp_path: Path, language: str, command: list[str]) -> None:
    assert argv(ctx, tmp_path, build(f"{language}.Script", script="the 'text'"), takes_files=False) == [*command, "the 'text'"]
    assert list(tmp_path.glob(".script-*")) == []


@pytest.mark.parametrize(("name", "script"), [("python.Script", "#" * 9000), ("shell.Script", "#" * 9000), ("go.Script", "package main")])
def test_where_no_file_travels_a_script_that_must_be_one_is_refused(ctx: FakeContext, tmp_path: Path, name: str, script: str) -> None:
    with pytest.raises(TaskFailed, match="takes none without a `bucket`"):
        argv(ctx, tmp_path, build(name, script=script), takes_files=False)


def test_a_script_without_files_runs_the_same(tmp_path: Path) -> None:
    ctx = FakeContext(tmp_path, runner=NoFiles())
    outputs: dict[str, Json] = dict(build("python.Script", script="import os\nprint(os.listdir())", beforeCommands=["echo before"]).run(ctx))
    assert (outputs["exitCode"], ctx.logger.lines) == (0, [(Level.INFO, "before"), (Level.INFO, "[]")])


def _path() -> str:
    return ":".join(
        dict.fromkeys(str(Path(found).parent) for program in ("python", *(row[1][0] for row in TABLE.values()), "sh") if (found := shutil.which(program)))
    )
