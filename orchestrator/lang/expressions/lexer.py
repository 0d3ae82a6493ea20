"""Cuts a template into tokens: text as it stands, and what lies between `{{ }}` and `{% %}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.faults import shortened
from orchestrator.lang.functions.limits import TEMPLATE_CHARS


class Kind(Enum):
    """What a token is."""

    TEXT = auto()
    RAW = auto()
    PRINT_START = auto()
    PRINT_END = auto()
    EXECUTE_START = auto()
    EXECUTE_END = auto()
    NAME = auto()
    INTEGER = auto()
    DECIMAL = auto()
    STRING = auto()
    QUOTE_START = auto()
    QUOTE_END = auto()
    INTERPOLATION_START = auto()
    INTERPOLATION_END = auto()
    OPERATOR = auto()
    PUNCTUATION = auto()
    EOF = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the template and the line it begins on, from 1."""

    kind: Kind
    value: str
    line: int


def broken(problem: str, source: str, line: int) -> ExpressionFailed:
    """The error of a template that cannot be read."""
    return ExpressionFailed(f"{problem} ({shortened(source)}:{line})")


_START = re.compile(r"\{\{|\{%|\{#")
_RAW = re.compile(r"\{%-*\s*raw\s*-*%\}(.*?)\{%-*\s*endraw\s*-*%\}")
_VERBATIM = re.compile(r"\s*verbatim\s*-?%\}")
_END_VERBATIM = re.compile(r"\{%(-)?\s*endverbatim\s*(-)?%\}")
_LEADING_TRIM = {"{{": re.compile(r"-\s+"), "{%": re.compile(r"-\s*"), "{#": re.compile(r"-\s+")}
_SPACE = re.compile(r"\s+")
_OPERATOR = re.compile(r"is\s+not(?!\w)|(?:contains|equals|not|and|or|is)(?!\w)|\?\?\?|\?\?|\.\.|==|!=|<=|>=|[-+*/%~<>|]")
_WORD = re.compile(r"\w+")
_NAME = re.compile(r"[^\W\d]\w*")
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_INTEGER = re.compile(r"([0-9]+)L?")
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_QUOTED_PART = re.compile(r'(?:[^#"\\]|\\.|#(?!\{))+', re.DOTALL)
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def tokens_of(source: str) -> list[Token]:
    """The tokens of a template, the last one EOF. Raises ExpressionFailed where a construct is not closed or a character fits nowhere."""
    if len(source) > TEMPLATE_CHARS:
        raise ExpressionFailed(f"The template is longer than {TEMPLATE_CHARS} characters")
    return _Lexer(source).run()


class _Lexer:
    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.line = 1
        self.has_raw = "endraw" in source
        self.trim_next = False
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        while self.at < len(self.source):
            self._data()
        self._push(Kind.EOF, "")
        return self.tokens

    # ---- text --------------------------------------------------------------------------

    def _data(self) -> None:
        found = _START.search(self.source, self.at)
        end = found.start() if found else len(self.source)
        text = self.source[self.at : end]
        if self.trim_next:
            text, self.trim_next = text.lstrip(), False
        raw = _RAW.match(self.source, end) if found and self.has_raw else None
        opened = "" if found is None or raw else found.group()
        trim = _LEADING_TRIM[opened].match(self.source, end + 2) if opened else None
        if text := text.rstrip() if trim else text:
            self._push(Kind.TEXT, text)
        self._move(trim.end() if trim else end + len(opened))
        if raw:
            self._push(Kind.RAW, raw.group())
            self._move(raw.end())
        elif opened:
            self._opened(opened)

    def _opened(self, opened: str) -> None:
        if opened == "{#":
            self._comment()
        elif opened == "{{":
            self._between(Kind.PRINT_START, Kind.PRINT_END, "}}")
        elif verbatim := _VERBATIM.match(self.source, self.at):
            self._verbatim(verbatim.end())
        else:
            self._between(Kind.EXECUTE_START, Kind.EXECUTE_END, "%}")

    def _comment(self) -> None:
        end = self.source.find("#}", self.at)
        if end < 0:
            raise broken("Unclosed comment.", self.source, self.line)
        self.trim_next = self.source[end - 1] == "-"
        self._move(end + 2)

    def _verbatim(self, begin: int) -> None:
        found = _END_VERBATIM.search(self.source, begin)
        if found is None:
            raise broken("Unclosed verbatim tag.", self.source, self.line)
        text = self.source[begin : found.start()].lstrip()  # Kestra trims there, with or without a dash
        if text := text.rstrip() if found.group(1) else text:
            self._push(Kind.TEXT, text)
        self.trim_next = found.group(2) is not None
        self._move(found.end())

    # ---- expressions -------------------------------------------------------------------

    def _between(self, start: Kind, end: Kind, close: str) -> None:
        self._push(start, "")
        brackets: list[tuple[str, int]] = []
        while True:
            self._space(close)
            if not brackets and self._closes(close):
                self._push(end, "")
                return
            self._token(brackets)

    def _closes(self, close: str) -> bool:
        trim = self.source.startswith("-" + close, self.at)
        if not trim and not self.source.startswith(close, self.at):
            return False
        self.trim_next = trim
        self._move(self.at + len(close) + trim)
        return True

    def _space(self, close: str) -> None:
        if found := _SPACE.match(self.source, self.at):
            self._move(found.end())
        if self.at >= len(self.source):
            raise broken(f'Unclosed "{close}"', self.source, self.line)

    def _token(self, brackets: list[tuple[str, int]]) -> None:
        last = self.tokens[-1]
        if last.kind is Kind.PUNCTUATION and last.value == "." and (found := _WORD.match(self.source, self.at)):
            self._take(Kind.NAME, found)  # `outputs.1_return`, `tasks.is`: after a dot everything is a name
        elif found := _OPERATOR.match(self.source, self.at):
            self._take(Kind.OPERATOR, found, " ".join(found.group().split()))
        elif found := _NAME.match(self.source, self.at):
            self._take(Kind.NAME, found)
        elif found := _DECIMAL.match(self.source, self.at):
            self._take(Kind.DECIMAL, found)
        elif found := _INTEGER.match(self.source, self.at):
            self._take(Kind.INTEGER, found, found.group(1))
        elif found := _SINGLE.match(self.source, self.at):
            self._take(Kind.STRING, found, found.group(1).replace("\\'", "'").replace("\\\\", "\\"))
        elif self.source[self.at] == '"':
            self._quoted()
        else:
            self._punctuation(brackets)

    def _punctuation(self, brackets: list[tuple[str, int]]) -> None:
        character = self.source[self.at]
        if character not in "()[]{}?:.,=":
            raise broken(f"Unexpected character [{character}]", self.source, self.line)
        if character in _PAIRS:
            brackets.append((character, self.line))
        elif character in ")]}":
            if not brackets:
                raise broken(f'Unexpected "{character}"', self.source, self.line)
            opened, line = brackets.pop()
            if _PAIRS[opened] != character:
                raise broken(f'Unclosed "{opened}"', self.source, line)
        self._push(Kind.PUNCTUATION, character)
        self.at += 1

    def _quoted(self) -> None:
        """A double-quoted string: one STRING, or between QUOTE_START and QUOTE_END its parts and `#{interpolations}`."""
        start, line = len(self.tokens), self.line
        self._push(Kind.QUOTE_START, "")
        self.at += 1
        while not self.source.startswith('"', self.at):
            if self.source.startswith("#{", self.at):
                self._interpolation()
            elif found := _QUOTED_PART.match(self.source, self.at):
                self._take(Kind.STRING, found, found.group().replace('\\"', '"').replace("\\\\", "\\"))
            else:
                raise broken('Unclosed "\\""', self.source, line)
        self.at += 1
        inside = self.tokens[start + 1 :]
        if not inside or (len(inside) == 1 and inside[0].kind is Kind.STRING):
            self.tokens[start:] = [Token(Kind.STRING, inside[0].value if inside else "", line)]
        else:
            self._push(Kind.QUOTE_END, "")

    def _interpolation(self) -> None:
        self._push(Kind.INTERPOLATION_START, "")
        self._move(self.at + 2)
        brackets: list[tuple[str, int]] = []
        while True:
            self._space("#{")
            if not brackets and self.source.startswith("}", self.at):
                break
            self._token(brackets)
        self._push(Kind.INTERPOLATION_END, "")
        self.at += 1

    # ---- small steps -------------------------------------------------------------------

    def _take(self, kind: Kind, found: re.Match[str], value: str | None = None) -> None:
        self._push(kind, found.group() if value is None else value)
        self._move(found.end())

    def _push(self, kind: Kind, value: str) -> None:
        self.tokens.append(Token(kind, value, self.line))

    def _move(self, to: int) -> None:
        self.line += self.source.count("\n", self.at, to)
        self.at = to
