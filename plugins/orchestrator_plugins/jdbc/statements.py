"""SQL text: where its statements end, and where a parameter stands; what is quoted or a comment is neither."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.sdk import TaskFailed

_WORD = re.compile(r"[^\W\d][\w$]*")
_NUMBER = re.compile(r"\d\w*")
_PARAMETER = re.compile(r":([^\W\d]\w*)")
_BEFORE_RANGE_END = re.compile(r"[\w\])]")  # as in `days[1:last]`
_DOLLAR = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_BODIES = frozenset({"function", "procedure", "trigger"})  # CREATE of these may hold statements between BEGIN and END
_TRANSACTIONS = frozenset({"tran", "transaction", "distributed"})  # after BEGIN
_WRITES = frozenset({"insert", "update", "delete", "merge", "into"})


@dataclass(frozen=True)
class Dialect:
    """What a database takes for quotes and comments, besides '...', "...", -- and /* */."""

    dollars: bool = False  # $tag$ ... $tag$
    nested_comments: bool = False
    escape_strings: bool = False  # E'...' with backslashes
    identifiers: str = ""  # further quotes of names: ` and [
    backslashes: bool = False  # they escape in every string
    hashes: bool = False  # # begins a comment, and -- only with a space behind it
    blocks: bool = False  # BEGIN ... END stand around statements anywhere, BEGIN TRANSACTION aside


@dataclass(frozen=True)
class Statement:
    """One statement: its text, and of that text its words and the places of `:name` that are neither quoted nor in comments."""

    text: str
    words: tuple[str, ...]  # in lower case
    parameters: tuple[tuple[int, int, str], ...]  # from, to and name

    @property
    def reads(self) -> bool:
        """Whether it only gives rows, so that they may be read through a cursor."""
        return bool(self.words) and self.words[0] in ("select", "with", "values", "table") and not _WRITES.intersection(self.words)

    def bound(self, values: Mapping[str, Any], style: str) -> tuple[str, Any]:
        """The text with a driver's own placeholders, and the values in the form that they need; None where there is nothing to bind.

        `style` is the driver's `paramstyle`. Raises TaskFailed when the text names a parameter that has no value.
        """
        if not values:
            return self.text, None
        if unknown := [name for _, _, name in self.parameters if name not in values]:
            raise TaskFailed(f"the SQL names `:{unknown[0]}`, which is not among the parameters ({', '.join(sorted(values))})")
        names = [name for _, _, name in self.parameters]
        if style == "pyformat":
            return self._with("%({})s", percent="%%"), {name: values[name] for name in names}
        return self._with("?" if style == "qmark" else "%s", percent="%" if style == "qmark" else "%%"), tuple(values[name] for name in names)

    def _with(self, placeholder: str, *, percent: str) -> str:
        parts, at = [], 0
        for start, end, name in self.parameters:
            parts += [self.text[at:start].replace("%", percent), placeholder.format(name)]
            at = end
        return "".join((*parts, self.text[at:].replace("%", percent)))


def statements(sql: str, dialect: Dialect) -> list[Statement]:
    """The statements of a text, without the semicolons between them; what holds nothing but comments is left out."""
    return list(_Reading(sql, dialect).statements())


class _Reading:
    """Goes through a text once."""

    def __init__(self, sql: str, dialect: Dialect) -> None:
        self._sql, self._dialect = sql, dialect
        self._at = self._start = 0
        self._words: list[str] = []
        self._parameters: list[tuple[int, int, str]] = []
        self._empty = True
        self._depth = 0  # of BEGIN and CASE in the body of what is created

    def statements(self) -> Iterator[Statement]:
        while self._at < len(self._sql):
            if self._sql[self._at] == ";" and not self._depth:
                yield from self._ended()
                self._at += 1
                self._start = self._at
            else:
                self._step()
        yield from self._ended()

    def _ended(self) -> Iterator[Statement]:
        if not self._empty:
            text = self._sql[self._start : self._at]
            shift = self._start + len(text) - len(text.lstrip())
            places = tuple((start - shift, end - shift, name) for start, end, name in self._parameters)
            yield Statement(text.strip(), tuple(self._words), places)
        self._words, self._parameters, self._empty, self._depth = [], [], True, 0

    def _step(self) -> None:
        """Past one quote, comment, word, parameter or character."""
        end = self._comment()
        if end is not None:
            self._at = end
            return
        if not self._sql[self._at].isspace():
            self._empty = False
        self._at = self._quoted() or self._word() or self._colon() or self._at + 1

    def _comment(self) -> int | None:
        if self._sql.startswith("--", self._at) and (not self._dialect.hashes or self._sql[self._at + 2 : self._at + 3].strip() == ""):
            return self._until("\n", self._at)
        if self._dialect.hashes and self._sql[self._at] == "#":
            return self._until("\n", self._at)
        if not self._sql.startswith("/*", self._at):
            return None
        at, open_ = self._at + 2, 1
        while open_ and at < len(self._sql):
            if self._sql.startswith("*/", at):
                at, open_ = at + 2, open_ - 1
            elif self._dialect.nested_comments and self._sql.startswith("/*", at):
                at, open_ = at + 2, open_ + 1
            else:
                at += 1
        return at

    def _until(self, end: str, start: int) -> int:
        """The place after the next `end`, or the end of the text."""
        found = self._sql.find(end, start)
        return len(self._sql) if found < 0 else found + len(end)

    def _quoted(self) -> int | None:
        first = self._sql[self._at]
        if first in "'\"" or first in self._dialect.identifiers:
            return self._string("]" if first == "[" else first, escapes=self._dialect.backslashes and first in "'\"")
        if self._dialect.escape_strings and first in "eE" and self._sql.startswith("'", self._at + 1):
            self._at += 1
            return self._string("'", escapes=True)
        if self._dialect.dollars and first == "$" and (tag := _DOLLAR.match(self._sql, self._at)):
            return self._until(tag[0], tag.end())
        return None

    def _string(self, quote: str, *, escapes: bool) -> int:
        at = self._at + 1
        while at < len(self._sql):
            if escapes and self._sql[at] == "\\":
                at += 2
            elif self._sql[at] != quote:
                at += 1
            elif self._sql.startswith(quote, at + 1):  # written twice: the quote itself
                at += 2
            else:
                return at + 1
        return len(self._sql)

    def _word(self) -> int | None:
        found = _WORD.match(self._sql, self._at)
        if found is None:
            number = _NUMBER.match(self._sql, self._at)
            return number.end() if number else None
        word = found[0].lower()
        self._words.append(word)
        if self._dialect.blocks or (self._words[0] == "create" and _BODIES.intersection(self._words[:4])):
            opens = word == "begin" or (word == "case" and self._depth > 0)
            closes = word == "end" or (word in _TRANSACTIONS and self._words[-2:-1] == ["begin"])
            self._depth = max(0, self._depth + opens - closes)
        return found.end()

    def _colon(self) -> int | None:
        if self._sql[self._at] != ":":
            return None
        if self._sql.startswith("::", self._at):  # a cast
            return self._at + 2
        found = _PARAMETER.match(self._sql, self._at)
        if found is None or _BEFORE_RANGE_END.match(self._sql[max(0, self._at - 1) : self._at]):
            return None
        self._parameters.append((self._at, found.end(), found[1]))
        return found.end()
