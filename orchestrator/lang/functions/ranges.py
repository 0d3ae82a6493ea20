"""Ranges of numbers and characters, both ends included."""

from __future__ import annotations

from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.catalogue import whole

_KINDS = "Arguments of range function must be of type Number or String with a length of 1"


def span(start: Any, end: Any, increment: Any) -> list[Any]:
    """The values from `start` to `end`. Raises ExpressionFailed for other than two numbers or two single characters, and for a step of 0."""
    step = 1 if increment is None else whole("range", "increment", increment)
    if step == 0:
        raise ExpressionFailed("The increment of the range function must be different than 0")
    if isinstance(start, str) and isinstance(end, str):
        if len(start) != 1 or len(end) != 1:
            raise ExpressionFailed(_KINDS)
        return [chr(code) for code in _numbers(ord(start), ord(end), step)]
    if isinstance(start, str | bool) or isinstance(end, str | bool) or not isinstance(start, int | float) or not isinstance(end, int | float):
        raise ExpressionFailed(_KINDS)
    return list(_numbers(int(start), int(end), step))


def _numbers(start: int, end: int, step: int) -> range:
    found = range(start, end + (1 if step > 0 else -1), step)
    limits.items_within(abs(end - start) // abs(step))
    return found
