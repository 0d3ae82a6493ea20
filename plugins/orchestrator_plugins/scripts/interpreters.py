"""What is known of the programs that read commands: how they stop at a failure, and how they take a file instead of a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
POWERSHELLS = frozenset({"pwsh", "powershell"})
_OF_TEXT = frozenset({"-e", "-E", "-r", "--eval"})  # how node, perl, ruby, lua, R and php are given a text; without it they take a file


def is_shell(interpreter: Sequence[str]) -> bool:
    """Whether it is one of the shells of Unix, however it is started."""
    return not SHELLS.isdisjoint(_names(interpreter))


def is_powershell(interpreter: Sequence[str]) -> bool:
    return not POWERSHELLS.isdisjoint(_names(interpreter))


def failing_fast(interpreter: Sequence[str]) -> tuple[str, ...]:
    """The first line that makes the first failure the end; none for a program that has no such line."""
    if is_shell(interpreter):
        return ("set -e",)
    return ("$ErrorActionPreference = 'Stop'",) if is_powershell(interpreter) else ()


def reading_file(interpreter: Sequence[str]) -> tuple[str, ...] | None:
    """The words that stand before a file's name, made of those that stand before a text; None where it is not known."""
    if not interpreter:
        return None
    *program, option = interpreter
    if is_powershell(interpreter):
        return (*program, "-File") if option.lower() in {"-c", "-command"} else None
    if option in _OF_TEXT:
        return tuple(program)
    if option.startswith("-") and not option.startswith("--") and option.endswith("c"):  # `-c` goes, `-ec` becomes `-e`
        return (*program, *((option[:-1],) if len(option) > 2 else ()))
    return None


def file_suffix(interpreter: Sequence[str]) -> str:
    """How the name of such a file ends: PowerShell reads no other."""
    return ".ps1" if is_powershell(interpreter) else ".sh"


def _names(interpreter: Sequence[str]) -> set[str]:
    return {PurePosixPath(word).name for word in interpreter}
