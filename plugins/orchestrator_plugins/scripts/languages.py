"""The languages scripts are written in: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from orchestrator_plugins.scripts.literals import with_literals


@dataclass(frozen=True)
class Language:
    """`program` runs a script file of this language; None: the interpreter itself reads the text."""

    image: str
    suffix: str
    program: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[str, str], str] = lambda source, name: source


SHELL = Language(image="ubuntu", suffix=".sh")
PYTHON = Language(image="python:3.13-slim", suffix=".py", program=("python",), env={"PYTHONUNBUFFERED": "1"}, prepared=with_literals)
NODE = Language(image="node", suffix=".js", program=("node",))
RUBY = Language(image="ruby", suffix=".rb", program=("ruby",))
PERL = Language(image="perl", suffix=".pl", program=("perl",))
PHP = Language(image="php", suffix=".php", program=("php",))
R = Language(image="r-base", suffix=".R", program=("Rscript",))
JULIA = Language(image="julia", suffix=".jl", program=("julia",))
