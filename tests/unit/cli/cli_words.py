"""What the tests of the command line share in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

FLOW = """\
id: hello
namespace: company.team
tasks:
  - id: hello
    type: io.kestra.plugin.core.log.Log
    message: Hello world
"""


class Said(NamedTuple):
    """The exit code and the two streams of a command."""

    code: int
    out: str
    err: str


Command = Callable[..., Said]
