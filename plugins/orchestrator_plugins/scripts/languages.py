"""The languages scripts are written in: one row each."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator_plugins.scripts.literals import with_literals

POWERSHELL_OPTIONS = ("pwsh", "-NoProfile", "-NonInteractive")


def in_a_shell(program: Sequence[str], path: str) -> str:
    """The line of a shell that runs a script's file."""
    return shlex.join((*program, path))


def in_powershell(program: Sequence[str], path: str) -> str:
    """The line of PowerShell that runs a script's file and ends with its exit code."""
    return f"& '{path}'; exit $LASTEXITCODE"


@dataclass(frozen=True)
class Language:
    """`program` runs a script file of this language; None: the interpreter itself reads the text.

    `image` is what its tasks run in when they name none. `called` is the interpreter's line that runs such a file, after
    `beforeCommands`. `inline` runs a text, where no file can travel. `plain_name`: the file's name must not begin with a dot.
    """

    image: str
    suffix: str
    program: tuple[str, ...] | None = None
    inline: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[str, str], str] = lambda source, name: source
    called: Callable[[Sequence[str], str], str] = in_a_shell
    plain_name: bool = False


_PIP = {"PYTHONUNBUFFERED": "1", "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

SHELL = Language(image="ubuntu", suffix=".sh")
PYTHON = Language(image="python:3.13-slim", suffix=".py", program=("python",), inline=("python", "-c"), env=_PIP, prepared=with_literals)
NODE = Language(image="node", suffix=".js", program=("node",), inline=("node", "-e"))
BUN = Language(image="oven/bun", suffix=".ts", program=("bun", "run"), inline=("bun", "-e"))
DENO = Language(image="denoland/deno", suffix=".ts", program=("deno", "run"), inline=("deno", "eval"))
RUBY = Language(image="ruby", suffix=".rb", program=("ruby",), inline=("ruby", "-e"))
PERL = Language(image="perl", suffix=".pl", program=("perl",), inline=("perl", "-e"))
PHP = Language(image="php", suffix=".php", program=("php",))
LUA = Language(image="nickblah/lua", suffix=".lua", program=("lua",), inline=("lua", "-e"))
GO = Language(image="golang", suffix=".go", program=("go", "run"), plain_name=True)
R = Language(image="r-base", suffix=".R", program=("Rscript",), inline=("Rscript", "-e"))
JULIA = Language(image="julia", suffix=".jl", program=("julia",), inline=("julia", "-e"))
POWERSHELL = Language(
    image="mcr.microsoft.com/powershell",
    suffix=".ps1",
    program=(*POWERSHELL_OPTIONS, "-File"),
    inline=(*POWERSHELL_OPTIONS, "-Command"),
    called=in_powershell,
)
DBT = Language(image="ghcr.io/kestra-io/dbt", suffix=".sh", env={**_PIP, "DBT_USE_COLORS": "false"})
