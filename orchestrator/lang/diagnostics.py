"""What is wrong in a user's file: as data for the API, as rustc-like text for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from orchestrator.model.values import Frozen


class Diagnostic(Frozen):
    """One problem. `line` and `column` count from 1; `length` is how much of the line is meant, in characters.

    `path` is the value's place in the document (`tasks[0].message`), empty for the whole of it. Only an `error`
    keeps a flow from being accepted.
    """

    code: str
    message: str
    file: str | None = None
    line: int = 1
    column: int = 1
    length: int = 1
    help: str | None = None
    path: str = ""
    severity: Literal["error", "warning", "info"] = "error"

    @property
    def summary(self) -> str:
        """One line for an API answer: `tasks[0].message: must not be null`."""
        return f"{self.path}: {self.message}" if self.path else self.message


def path_text(path: Sequence[str | int]) -> str:
    """`("tasks", 0, "message")` as `tasks[0].message`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text


def errors_of(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Those that keep a flow from being accepted."""
    return tuple(d for d in diagnostics if d.severity == "error")


def render(diagnostics: Sequence[Diagnostic], source: str, filename: str = "flow.yaml") -> str:
    """All problems as text: code, message, place, the line, a caret, the help; a closing line counts them."""
    if not diagnostics:
        return ""
    lines = source.splitlines()
    blocks = [_block(d, lines, d.file or filename) for d in diagnostics]
    return "\n".join([*blocks, _closing(diagnostics, filename)])


def _block(found: Diagnostic, lines: Sequence[str], filename: str) -> str:
    # Many messages are worded for `path: message`; on their own they need their subject.
    said = f"`{found.path}` {found.message}" if found.path and found.message.startswith("must ") else found.message
    head = f"{found.severity}[{found.code}]: {said}\n  --> {filename}:{found.line}:{found.column}"
    if not 0 < found.line <= len(lines) or not lines[found.line - 1].strip():
        return head if found.help is None else f"{head}\n      help: {found.help}"
    line = lines[found.line - 1]
    gutter = f" {found.line} | "
    # A tab before the caret must stay a tab, or the caret stands elsewhere than its value.
    lead = "".join("\t" if c == "\t" else " " for c in line[: found.column - 1])
    carets = "^" * max(1, min(found.length, len(line) - found.column + 1))
    advice = "" if found.help is None else f" help: {found.help}"
    return f"{head}\n{gutter}{line}\n{' ' * (len(gutter) - 2)}| {lead}{carets}{advice}"


def _closing(diagnostics: Sequence[Diagnostic], filename: str) -> str:
    count = len(errors_of(diagnostics))
    if count == 0:
        return f"no errors in {filename}"
    codes = " ".join(dict.fromkeys(d.code for d in errors_of(diagnostics)))
    return f"{count} problem{'s' if count != 1 else ''} in {filename} · orchestrator explain {codes.split()[0]}"
