"""Amazon Ion text: writes any value, reads the first value of a text."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.javadates import parse_zoned
from orchestrator.lang.functions.javatext import date_json
from orchestrator.lang.functions.printing import is_list, to_text, weigh
from orchestrator.lang.functions.zones import ZULU

_SYMBOL = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_RESERVED = frozenset({"null", "true", "false", "nan"})
_SPACE = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d(?:T(?:\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)?|\d{4}(?:-\d\d)?T")
_NUMBER = re.compile(r"-?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eEdD][+-]?[0-9]+)?)")
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"', re.DOTALL)
_QUOTED_SYMBOL = re.compile(r"'((?:[^'\\\n]|\\.)*)'")
_LONG_STRING = re.compile(r"'''((?:[^'\\]|\\.|'(?!''))*)'''", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(\r?\n|.))", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\n": "", "\r\n": ""}


# ---- writing -------------------------------------------------------------------------------


def write_ion(value: Any) -> str:
    """A value as Ion text. Raises ExpressionFailed when it is too large or too deep."""
    weigh(value)
    text = _ion(value, 0)
    limits.text_within(len(text))
    return text


def _ion(value: Any, depth: int) -> str:
    if depth > limits.VALUE_DEPTH:
        raise ExpressionFailed("The value is nested too deeply")
    if isinstance(value, Mapping):
        return "{" + _joined(f"{_field_name(to_text(key))}:{_ion(held, depth + 1)}" for key, held in value.items()) + "}"
    if is_list(value):
        return "[" + _joined(_ion(item, depth + 1) for item in value) + "]"
    return _scalar(value)


def _joined(parts: Any) -> str:
    """The parts with commas; stops at the bound, which a value that repeats itself would pass."""
    found, size = [], 0
    for part in parts:
        size += len(part) + 1
        limits.text_within(size)
        found.append(part)
    return ",".join(found)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        text = repr(value)
        return {"nan": "nan", "inf": "+inf", "-inf": "-inf"}.get(text) or (text if "e" in text else f"{text}e0")
    if isinstance(value, Decimal):
        return str(value).replace("E", "d") if "." in str(value) or "E" in str(value) else f"{value}."
    if isinstance(value, datetime) and value.tzinfo is not None:
        return f"ZonedDateTime::{_quoted(date_json(value))}"
    if isinstance(value, datetime | date | timedelta):
        kind = "LocalDateTime" if isinstance(value, datetime) else "LocalDate" if isinstance(value, date) else "Duration"
        return f"{kind}::{_quoted(to_text(value))}"
    return str(value) if isinstance(value, int) else _quoted(to_text(value))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _field_name(name: str) -> str:
    return name if _SYMBOL.fullmatch(name) and name not in _RESERVED else "'" + _quoted(name)[1:-1].replace("'", "\\'").replace('\\"', '"') + "'"


# ---- reading -------------------------------------------------------------------------------


def read_ion(text: str) -> Any:
    """The first value of an Ion text; annotations are passed over. Raises ExpressionFailed for what is no Ion."""
    try:
        return _Reader(text).value(0)
    except (ValueError, IndexError, OverflowError, ArithmeticError) as problem:
        raise ExpressionFailed(f"Unable to parse the value as Ion: {problem}") from None


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found:
            self.at = found.end()
        return found

    def value(self, depth: int) -> Any:
        if depth > limits.VALUE_DEPTH:
            raise ValueError("it is nested too deeply")
        self.space()
        opening = self.text[self.at : self.at + 1]
        if not opening:
            raise ValueError("it ends where a value is expected")
        if self.text.startswith("{{", self.at):
            return self._lob()
        if opening == "{":
            return self._struct(depth)
        if opening in "[(":
            return self._items("]" if opening == "[" else ")", depth, commas=opening == "[")
        return self._plain(opening, depth)

    def _plain(self, opening: str, depth: int) -> Any:
        if opening == '"' and (found := self.take(_STRING)):
            return _unescaped(found.group(1))
        if self.text.startswith("'''", self.at):
            return self._long_string()
        if found := self.take(_TIMESTAMP):
            return _timestamp(found.group())
        if found := self.take(_NUMBER):
            return _number(found.group())
        for word, number in (("+inf", float("inf")), ("-inf", float("-inf")), ("nan", float("nan"))):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return number
        return self._symbol(depth)

    def _symbol(self, depth: int) -> Any:
        if quoted := self.take(_QUOTED_SYMBOL):
            name, known = _unescaped(quoted.group(1)), False
        elif found := self.take(_SYMBOL):
            name, known = found.group(), True
        else:
            raise ValueError(f"unexpected `{self.text[self.at : self.at + 10]}`")
        self.space()
        if self.text.startswith("::", self.at):
            self.at += 2
            return self.value(depth + 1)
        if known and name == "null" and self.text.startswith(".", self.at):
            self.at += 1
            self.take(_SYMBOL)
        return {"null": None, "true": True, "false": False}.get(name, name) if known else name

    def _struct(self, depth: int) -> dict[str, Any]:
        self.at += 1
        found: dict[str, Any] = {}
        while not self._closed("}", first=not found):
            name = self._field()
            self.space()
            if self.text[self.at] != ":":
                raise ValueError("a field has no colon")
            self.at += 1
            found[name] = self.value(depth + 1)
        return found

    def _field(self) -> str:
        self.space()
        if self.text.startswith("'''", self.at):
            return self._long_string()
        for pattern in (_STRING, _QUOTED_SYMBOL):
            if found := self.take(pattern):
                return _unescaped(found.group(1))
        if found := self.take(_SYMBOL):
            return found.group()
        raise ValueError("a field has no name")

    def _items(self, close: str, depth: int, *, commas: bool) -> list[Any]:
        self.at += 1
        found: list[Any] = []
        while not self._closed(close, first=not found or not commas):
            found.append(self.value(depth + 1))
        return found

    def _closed(self, close: str, *, first: bool) -> bool:
        """Whether the container ends here; passes the comma before a next item."""
        self.space()
        if not first and self.text[self.at] == ",":
            self.at += 1
            self.space()
        elif not first and self.text[self.at] != close:
            raise ValueError("a comma is missing")
        if self.text[self.at] != close:
            return False
        self.at += 1
        return True

    def _long_string(self) -> str:
        parts: list[str] = []
        while found := self.take(_LONG_STRING):
            parts.append(_unescaped(found.group(1)))
            self.space()
        if not parts:
            raise ValueError("a long string is not closed")
        return "".join(parts)

    def _lob(self) -> str:
        end = self.text.index("}}", self.at)
        inside, self.at = self.text[self.at + 2 : end].strip(), end + 2
        if inside.startswith('"'):
            return _unescaped(inside.strip('"'))
        return base64.b64decode("".join(inside.split()), validate=True).decode("utf-8", "replace")


def _unescaped(text: str) -> str:
    def change(found: re.Match[str]) -> str:
        code = found.group(1) or found.group(2) or found.group(3)
        return chr(int(code, 16)) if code else _ESCAPES.get(found.group(4), found.group(4))

    return _ESCAPE.sub(change, text) if "\\" in text else text


def _number(text: str) -> int | float | Decimal:
    text = text.replace("_", "")
    if re.match(r"-?0[xXbB]", text):
        return int(text, 0)
    if re.search("[dD]", text):
        return Decimal(re.sub("[dD]", "E", text))
    return float(text) if re.search("[.eE]", text) else int(text)


def _timestamp(text: str) -> datetime | date:
    if len(text) <= 8:
        return date(int(text[:4]), int(text[5:7] or 1) if text[4] == "-" else 1, 1)
    if len(text) <= 11:
        return date.fromisoformat(text[:10])
    at = parse_zoned(text)
    return at if at.utcoffset() else at.replace(tzinfo=ZULU)
