"""The one printer: how a value becomes text in a rendered template, and compact JSON inside one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.javatext import date_json, date_text, double_text, time_text
from orchestrator.model.values import format_duration


def is_list(value: Any) -> bool:
    """Whether a value is a list of the language: any sequence or set that is no text."""
    return isinstance(value, list | tuple) or (isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes | bytearray))


def to_text(value: Any) -> str:
    """A value as a template prints it: null is empty, lists and maps are compact JSON, dates and numbers are as Java's."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return number_text(value)
    if isinstance(value, Mapping) or is_list(value):
        return to_json(value)
    return _scalar_text(value, plain=True)


def to_json(value: Any) -> str:
    """Compact JSON of any value of the language.

    Raises ExpressionFailed when it is too large, too deep or of an unknown kind.
    """
    parts: list[str] = []
    _Json(parts).write(value, 0)
    return "".join(parts)


def weigh(value: Any, *, lazy: bool = False) -> None:
    """Raise ExpressionFailed when a list or map holds, all levels together, more values than an expression may make.

    A value that holds itself many times over is counted as what it would be written out. `lazy` does not open maps and
    lists that are more than plain ones.
    """
    if isinstance(value, str) or not (isinstance(value, Mapping) or is_list(value)):
        return
    waiting, count = [value], 0
    while waiting:
        held = waiting.pop()
        if isinstance(held, dict) or (isinstance(held, Mapping) and not lazy):
            inside = list(held.values())
        elif isinstance(held, list | tuple) or (is_list(held) and not lazy):
            inside = list(held)
        else:
            continue
        count += len(inside)
        limits.items_within(count)
        waiting.extend(item for item in inside if not isinstance(item, str | int | float | None))


def plain(value: Any) -> Any:
    """The same value of dict, list, str, int, float, bool and None only; dates become ISO text."""
    if isinstance(value, Mapping):
        return {_key(key): plain(held) for key, held in value.items()}
    if is_list(value):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return _scalar_text(value, plain=False)


def number_text(number: int | float | Decimal) -> str:
    """A number as text; raises ExpressionFailed for whole numbers of thousands of digits."""
    if isinstance(number, float):
        return double_text(number)
    if isinstance(number, int) and number.bit_length() > 8192:
        raise ExpressionFailed("The expression makes a number of too many digits")
    return str(number)


def _scalar_text(value: Any, *, plain: bool) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float | Decimal | int):
        return number_text(value)
    if isinstance(value, datetime):
        return date_text(value) if plain else date_json(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return time_text(value, seconds=not plain)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    raise ExpressionFailed(f"A value of type {type(value).__name__} cannot be printed")


def _key(key: Any) -> str:
    return "null" if key is None else to_text(key)


class _Json:
    """Writes JSON piece by piece, so that a value that repeats itself stops at the bound and not at the end of memory."""

    def __init__(self, parts: list[str]) -> None:
        self.parts = parts
        self.chars = 0

    def put(self, text: str) -> None:
        self.chars += len(text)
        if self.chars > limits.OUTPUT_CHARS or len(self.parts) > 2 * limits.ITEMS:
            raise ExpressionFailed("The value is too large to be printed")
        self.parts.append(text)

    def write(self, value: Any, depth: int) -> None:
        if depth > limits.VALUE_DEPTH:
            raise ExpressionFailed("The value is nested too deeply to be printed")
        if value is None:
            self.put("null")
        elif isinstance(value, str):
            self.put(json.dumps(value, ensure_ascii=False))
        elif isinstance(value, bool):
            self.put("true" if value else "false")
        elif isinstance(value, int | float | Decimal):
            text = number_text(value)
            self.put(text if math.isfinite(value) else f'"{text}"')
        elif isinstance(value, Mapping):
            self._map(value, depth)
        elif is_list(value):
            self._list(value, depth)
        else:
            self.put(json.dumps(_scalar_text(value, plain=False), ensure_ascii=False))

    def _map(self, value: Mapping[Any, Any], depth: int) -> None:
        lead = "{"
        for key, held in value.items():
            self.put(lead + json.dumps(_key(key), ensure_ascii=False) + ":")
            self.write(held, depth + 1)
            lead = ","
        self.put("{}" if lead == "{" else "}")

    def _list(self, value: Sequence[Any], depth: int) -> None:
        lead = "["
        for item in value:
            self.put(lead)
            self.write(item, depth + 1)
            lead = ","
        self.put("[]" if lead == "[" else "]")
