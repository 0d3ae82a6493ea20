"""Every command that a message of ours names is one that can be typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

import orchestrator
from orchestrator.cli.main import COMMANDS, app

NAMED = re.compile(r"orchestrator (?P<words>[a-z]+(?:-[a-z]+)?(?: [a-z]+(?:-[a-z]+)?){0,2})(?P<rest>[^:;`\"'\n]*)")
OPTION = re.compile(r"(?<!\S)--[a-z][a-z-]+")


def named() -> list[tuple[str, str, str]]:
    """(where, command words, what follows) of every command that the product's own texts name, where it begins with a command of ours."""
    root = Path(orchestrator.__file__).parent
    return [
        (str(path.relative_to(root)), found["words"], found["rest"])
        for path in sorted(root.rglob("*.py"))
        for found in NAMED.finditer(path.read_text())
        if found["words"].split()[0] in COMMANDS
    ]


@pytest.mark.parametrize(("where", "words", "rest"), named())
def test_a_command_that_a_message_names_exists_with_its_options(where: str, words: str, rest: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in words.split():
        if hasattr(command, "get_command"):
            found = command.get_command(None, word)
            assert found is not None, f"{where}: `orchestrator {words}` is no command"
            command = found
    known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)} | {"--help"}
    assert set(OPTION.findall(rest)) <= known, f"{where}: `orchestrator {words}{rest}`"
