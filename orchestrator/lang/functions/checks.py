"""The tests after `is`; `defined` is the compiler's own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.printing import is_list

CHECKS: dict[str, Callable[[Any], bool]] = {}


def _check(name: str) -> Callable[[Callable[[Any], bool]], Callable[[Any], bool]]:
    def register(run: Callable[[Any], bool]) -> Callable[[Any], bool]:
        CHECKS[name] = run
        return run

    return register


@_check("null")
def is_null(value: Any) -> bool:
    return value is None


@_check("empty")
def is_empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or ((isinstance(value, Mapping) or is_list(value)) and not value)


@_check("even")
def is_even(value: Any) -> bool:
    return _integer("even", value) % 2 == 0


@_check("odd")
def is_odd(value: Any) -> bool:
    return _integer("odd", value) % 2 == 1


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ExpressionFailed(f"The test '{name}' can only be applied to whole numbers")
    return value


@_check("iterable")
def is_iterable(value: Any) -> bool:
    return is_list(value)


@_check("map")
def is_map(value: Any) -> bool:
    return isinstance(value, Mapping)


@_check("json")
def is_json(value: Any) -> bool:
    """Whether a text parses as JSON."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True
