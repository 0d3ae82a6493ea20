"""Filters and functions on numbers."""

from __future__ import annotations

import random
import re
import socket
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Table, entry, whole, wrong_input
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.printing import to_text
from orchestrator.lang.functions.ranges import span

NUMBER_FILTERS: Table = {}
NUMBER_FUNCTIONS: Table = {}
_KINDS = ("INT", "FLOAT", "LONG", "DOUBLE", "BIGDECIMAL", "BIGINTEGER")
_WHOLE = re.compile(r"[+-]?(0[xX][0-9a-fA-F]{1,64}|[0-9]{1,1000})[lL]?")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,400}\.?[0-9]{0,400}|\.[0-9]{1,400})([eE][+-]?[0-9]{1,3})?[fFdD]?")
_PATTERN = re.compile(r"((?:'[^']*'|[^#0,.'])*)([#0,]*)(?:\.([0#]*))?((?:'[^']*'|[^#0,.'])*)")


def is_number(value: Any) -> bool:
    """Whether a value counts as a number; a boolean does not."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


@entry(NUMBER_FILTERS, "abs")
def absolute(value: Any) -> Any:
    if value is None:
        return None
    if not is_number(value):
        raise wrong_input("abs", "Number", value)
    return abs(value)


@entry(NUMBER_FILTERS, "number", parameters=("type",))
def number(value: Any, kind: Any = None) -> Any:
    """The number a text stands for."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong_input("number", "String", value)
    if kind not in (None, "", *_KINDS):
        raise ExpressionFailed(f"The argument 'type' of 'number' must be one of {', '.join(_KINDS)}")
    return _parsed(value, kind or "")


def _parsed(text: str, kind: str) -> int | float | Decimal:
    if kind in ("FLOAT", "DOUBLE") and _DECIMAL.fullmatch(text):
        return float(text.rstrip("fFdD"))
    if kind == "BIGDECIMAL" and _DECIMAL.fullmatch(text):
        return Decimal(text.rstrip("fFdD"))
    if kind not in ("FLOAT", "DOUBLE", "BIGDECIMAL"):
        if _WHOLE.fullmatch(text):
            return int(text.rstrip("lL"), 16 if "x" in text.lower() else 10)
        if not kind and _DECIMAL.fullmatch(text):
            return float(text.rstrip("fFdD"))
    raise ExpressionFailed(f"{text[:100]} is not a valid number.")


@entry(NUMBER_FILTERS, "numberFormat", parameters=("format",))
def number_format(value: Any, pattern: Any = None) -> Any:
    """A number in a Java DecimalFormat pattern such as `#,##0.00`."""
    if value is None:
        return None
    if not is_number(value):
        raise wrong_input("numberFormat", "Number", value)
    return decimal_format(value, str(pattern) if pattern is not None else "#,##0.###")


def decimal_format(value: Any, pattern: str) -> str:
    """A number as Java's DecimalFormat writes it in English, half-even. Raises ExpressionFailed for a pattern it cannot be."""
    positive, _, negative = pattern.partition(";")
    found = _PATTERN.fullmatch(positive)
    if found is None:
        raise ExpressionFailed(f"`{pattern}` is not a number format")
    before, whole_part, fraction_part, after = found.group(1), found.group(2), found.group(3) or "", found.group(4)
    shift = 2 if "%" in before + after else 3 if "‰" in before + after else 0
    text = _digits(Decimal(str(value)).scaleb(shift), whole_part, fraction_part)
    minus = "-" if text.startswith("-") else ""
    if minus and negative and (other := _PATTERN.fullmatch(negative)):
        minus, before, after = "", other.group(1), other.group(4)
    return minus + before.replace("'", "") + text.lstrip("-") + after.replace("'", "")


def _digits(number: Decimal, whole_part: str, fraction_part: str) -> str:
    if not number.is_finite() or abs(number.adjusted()) > 400:
        return "NaN" if number.is_nan() else "∞" if number > 0 else "-∞"
    with localcontext() as rules:
        rules.prec = 1000
        rounded = number.quantize(Decimal(1).scaleb(-len(fraction_part)), ROUND_HALF_EVEN)
    figures, _, fraction = f"{abs(rounded):f}".partition(".")
    kept = fraction_part.count("0")
    fraction = fraction[:kept] + fraction[kept:].rstrip("0")
    figures = figures.lstrip("0").rjust(whole_part.count("0"), "0") or ("" if fraction else "0")
    group = len(whole_part) - 1 - whole_part.rindex(",") if "," in whole_part else 0
    if group:
        figures = re.sub(rf"(?<=\d)(?=(?:\d{{{group}}})+$)", ",", figures)
    return ("-" if rounded < 0 else "") + figures + (f".{fraction}" if fraction else "")


@entry(NUMBER_FILTERS, "className")
def name_of_class(value: Any) -> Any:
    return None if value is None else class_name(value)


@entry(NUMBER_FILTERS, "string")
def as_text(value: Any) -> Any:
    """A number, or the number that a text stands for, as text."""
    if value is None:
        return None
    if is_number(value):
        return to_text(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and value[-1] not in "fFdD":
        return str(Decimal(value))
    raise ExpressionFailed(f"'string' filter can only be applied to a number or a text of one. Actual value was: {to_text(value)[:100]}")


@entry(NUMBER_FUNCTIONS, "randomPort")
def random_port() -> int:
    """A port that nothing listens on where this is rendered, just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@entry(NUMBER_FUNCTIONS, "max", parameters=None)
def largest(*values: Any) -> Any:
    return _extreme("max", values, 1)


@entry(NUMBER_FUNCTIONS, "min", parameters=None)
def smallest(*values: Any) -> Any:
    return _extreme("min", values, -1)


def _extreme(name: str, values: tuple[Any, ...], sign: int) -> Any:
    found: Any = None
    for value in values:
        if not is_number(value):
            raise ExpressionFailed(f"The arguments of '{name}' must be numbers")
        found = value if found is None or (value - found) * sign > 0 else found
    return found


@entry(NUMBER_FUNCTIONS, "range", parameters=("start", "end", "increment"), required=2)
def range_(start: Any, end: Any, increment: Any = None) -> list[Any]:
    """The numbers or characters from `start` to `end`, both included."""
    return span(start, end, increment)


@entry(NUMBER_FUNCTIONS, "randomInt", parameters=("lower", "upper"), required=2)
def random_int(lower: Any, upper: Any) -> int:
    """A random whole number from `lower` up to but not including `upper`."""
    for name, value in (("lower", lower), ("upper", upper)):
        if not is_number(value) or not isinstance(value, int):
            raise ExpressionFailed(f"The 'randomInt' function expects an argument '{name}' that is an Integer.")
    least, most = whole("randomInt", "lower", lower), whole("randomInt", "upper", upper)
    if most < least:
        raise ExpressionFailed("In 'randomInt' upper is less than lower")
    return least if least == most else random.randrange(least, most)  # noqa: S311 - no secret is made of it
