"""Collects what is wrong in one document, each with its place in the source."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Literal

from orchestrator.lang.diagnostics import Diagnostic, path_text
from orchestrator.lang.source import Mark, Path, Source
from orchestrator.model.values import Json


class Findings:
    """The diagnostics of one document. Without a source (JSON from a client) every mark is 1:1."""

    def __init__(self, source: Source | None = None, filename: str | None = None) -> None:
        self.source = source
        self.filename = filename
        self._found: dict[tuple[str, str, str], Diagnostic] = {}

    def add(
        self,
        code: str,
        message: str,
        path: Path = (),
        *,
        help: str | None = None,
        key: bool = False,
        mark: Mark | None = None,
        severity: Literal["error", "warning", "info"] = "error",
    ) -> None:
        """Note one problem at `path`; `key` marks the property's name rather than its value."""
        where = mark or (self.source.mark(path, key=key) if self.source else Mark())
        text = path_text(path)
        self._found.setdefault(
            (code, message, text),
            Diagnostic(
                code=code,
                message=message,
                file=self.filename,
                line=where.line,
                column=where.column,
                length=where.length,
                help=help,
                path=text,
                severity=severity,
            ),
        )

    def says(self, message: str, path: Path) -> bool:
        """Whether this message has been noted for something within `path`."""
        within = path_text(path)
        return any(said == message and place.startswith(within) for _, said, place in self._found)

    def as_written(self, path: Path, value: Json) -> str:
        """A scalar as the user wrote it (`1.0` stays `1.0`), for a property that is text."""
        written = self.source.written(path) if self.source else None
        if written is not None:
            return written
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    def place(self, path: Path) -> str:
        """`line:column` of a value, for a help text."""
        mark = self.source.mark(path) if self.source else Mark()
        return f"{mark.line}:{mark.column}" if self.source else path_text(path)

    def all(self) -> tuple[Diagnostic, ...]:
        """Everything found, in the order of the text."""
        return tuple(sorted(self._found.values(), key=lambda d: (d.line, d.column)))


def did_you_mean(name: str, known: Collection[str]) -> str | None:
    """A help text naming the known word most like `name`, or None."""
    lower = {word.lower(): word for word in known}
    close = get_close_matches(name.lower(), lower, 1, 0.6)
    return f"did you mean `{lower[close[0]]}`?" if close else None
