"""How the command line talks: data to stdout, everything else to stderr, in plain text or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

Say = Callable[[str], None]

SUCCESS, RUN_FAILED, ASKED_WRONGLY, UNREACHABLE = 0, 1, 2, 3  # what an exit code means; UNREACHABLE: nothing wrong with the question, ask again later
INTERRUPTED = 130

_CONTROLS = {code: None for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if code != 0x09}


def put(text: str) -> None:
    """A line of data."""
    print(text, flush=True)


def put_json(value: Any) -> None:
    """One JSON document of data."""
    put(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """A line of talk."""
    print(text, file=sys.stderr, flush=True)


def hint(text: str) -> None:
    """A useful next command, for a person at a terminal only."""
    if sys.stderr.isatty() and sys.stdout.isatty():
        say(text)


def fail(text: str, code: int) -> NoReturn:
    """Say what is wrong and leave with an exit code."""
    say(text)
    raise SystemExit(code)


def harmless(text: str) -> str:
    """Text of a flow's author with nothing in it that could steer a terminal: control characters but tabs are gone."""
    return text.translate(_CONTROLS)


def first_line(err: Exception) -> str:
    """What went wrong, without the help below it."""
    return str(err).partition("\n")[0]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell, two spaces apart; the heads in the first line."""
    lines = [tuple(heads), *[tuple(harmless(cell) for cell in row) for row in rows]]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def now() -> datetime:
    """This moment, aware UTC."""
    return datetime.now(UTC)
