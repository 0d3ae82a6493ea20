"""What a database holds, as JSON: as the expression language prints it."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from orchestrator.sdk import Json, format_duration

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
LONGEST_INTEGER = 300  # digits; more stay text
_PLAIN = frozenset({str, int, bool, type(None)})


class Cells:
    """Reads values as drivers give them; moments are told in `zone`."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._readers: Mapping[type, Callable[[Any], Json]] = {
            float: _float,
            Decimal: _decimal,
            datetime: self._moment,
            date: date.isoformat,
            time: _iso,
            timedelta: format_duration,
            bytes: _bytes,
            bytearray: _bytes,
            memoryview: _bytes,
            list: self._list,
            tuple: self._list,
            set: self._list,
            dict: self._map,
        }

    def cell(self, value: Any) -> Json:
        """The JSON of one value: numbers that a double cannot hold exactly, and what has no JSON, as text; bytes as base64."""
        kind = type(value)
        return value if kind in _PLAIN else self._readers.get(kind, str)(value)

    def row(self, names: Sequence[str], values: Sequence[Any]) -> dict[str, Json]:
        """A row by the names of its columns; of two of one name the last."""
        return dict(zip(names, map(self.cell, values), strict=True))

    def line(self, names: Sequence[str], values: Sequence[Any]) -> str:
        """A row as a line of a stored file: JSON, which is Ion too."""
        return _encode(self.row(names, values)) + "\n"

    def _list(self, values: Any) -> Json:
        return [self.cell(value) for value in values]

    def _map(self, values: Mapping[Any, Any]) -> Json:
        return {str(key): self.cell(value) for key, value in values.items()}

    def _moment(self, at: datetime) -> str:
        return _iso(at if at.tzinfo is None else at.astimezone(self._zone))


def _iso(at: datetime | time) -> str:
    """`2030-12-25T16:19:05`, `16:19:05.120`, `16:19:05.120450+02:00`, `16:19:05Z`."""
    parts = at.microsecond
    text = at.isoformat(timespec="seconds" if not parts else "microseconds" if parts % 1000 else "milliseconds")
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def _float(number: float) -> Json:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _decimal(number: Decimal) -> Json:
    text = str(number)
    if len(text) <= LONGEST_INTEGER and text.lstrip("-").isdigit():
        return int(text)
    near = float(number)
    if not math.isfinite(near):
        return text if number.is_finite() else _float(near)
    return near if repr(near) == text or Decimal(repr(near)) == number else text


def _bytes(data: Any) -> str:
    return base64.b64encode(bytes(data)).decode()
