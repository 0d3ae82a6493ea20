"""What the operators of an expression do with values: arithmetic, comparison, containment, ranges and truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.lists import same
from orchestrator.lang.functions.printing import is_list, number_text, to_text
from orchestrator.lang.functions.ranges import span


def op_concat(*parts: Any) -> str:
    """`a ~ b`: the texts one after the other."""
    texts = [to_text(part) for part in parts]
    limits.text_within(sum(map(len, texts)))
    return "".join(texts)


def op_map(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    """`{key: value}`."""
    return {key if isinstance(key, str | int | float) else to_text(key): value for key, value in zip(keys, values, strict=True)}


def op_add(left: Any, right: Any) -> Any:
    """Numbers are summed; to a list a value, or all values of a list, are appended."""
    if is_list(left):
        added = [*left, *right] if is_list(right) else [*left, right]
        limits.items_within(len(added))
        return added
    return _calculate("ADD", left, right, lambda a, b: a + b)


def op_subtract(left: Any, right: Any) -> Any:
    """Numbers are subtracted; from a list a value, or all values of a list, are removed."""
    if is_list(left):
        if is_list(right):
            return [item for item in left if not any(same(item, other) for other in right)]
        place = next((index for index, item in enumerate(left) if same(item, right)), None)
        return [item for index, item in enumerate(left) if index != place]
    return _calculate("SUBTRACT", left, right, lambda a, b: a - b)


def op_multiply(left: Any, right: Any) -> Any:
    return _calculate("MULTIPLICATION", left, right, lambda a, b: a * b)


def op_divide(left: Any, right: Any) -> Any:
    """Whole numbers divide towards zero; decimals by zero give infinity."""
    return _calculate("DIVISION", left, right, _divide)


def op_remainder(left: Any, right: Any) -> Any:
    """The remainder with the sign of the left side."""
    return _calculate("MODULUS", left, right, _remainder)


def op_minus(value: Any) -> Any:
    return op_multiply(-1, value)


def op_plus(value: Any) -> Any:
    return op_multiply(1, value)


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return left / right if right else math.copysign(math.inf, left) if left else math.nan
    if not right:
        raise ExpressionFailed("/ by zero")
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return left / right
    return -(-left // right) if (left < 0) != (right < 0) else left // right


def _remainder(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return math.fmod(left, right) if right and not math.isinf(left) else math.nan
    if not right:
        raise ExpressionFailed("/ by zero")
    return left % right if isinstance(left, Decimal) or isinstance(right, Decimal) else left - right * _divide(left, right)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _calculate(operation: str, left: Any, right: Any, run: Callable[[Any, Any], Any]) -> Any:
    if not _is_number(left) or not _is_number(right):
        raise ExpressionFailed(f"invalid operands for mathematical operation [{operation}]: {class_name(left)} and {class_name(right)}")
    if isinstance(left, Decimal) != isinstance(right, Decimal):
        left, right = Decimal(str(left)), Decimal(str(right))
    try:
        result = run(left, right)
    except OverflowError:
        return math.inf
    number_text(result)
    return result


def op_equal(left: Any, right: Any) -> bool:
    return same(left, right)


def op_unequal(left: Any, right: Any) -> bool:
    return not same(left, right)


def _compare(operation: str, left: Any, right: Any, run: Callable[[Any, Any], bool]) -> bool:
    if left is None or right is None:
        return False
    if not _is_number(left) or not _is_number(right):
        raise ExpressionFailed(f"invalid operands for mathematical comparison [{operation}]: {class_name(left)} and {class_name(right)}")
    return run(left, right)


def op_less(left: Any, right: Any) -> bool:
    return _compare("LESS_THAN", left, right, lambda a, b: bool(a < b))


def op_at_most(left: Any, right: Any) -> bool:
    return _compare("LESS_THAN_EQUALS", left, right, lambda a, b: bool(a <= b))


def op_more(left: Any, right: Any) -> bool:
    return _compare("GREATER_THAN", left, right, lambda a, b: bool(a > b))


def op_at_least(left: Any, right: Any) -> bool:
    return _compare("GREATER_THAN_EQUALS", left, right, lambda a, b: bool(a >= b))


def op_contains(left: Any, right: Any) -> bool:
    """A list holds a value or all values of a list, a map has a key, a text has a part."""
    if left is None:
        return False
    if isinstance(left, str):
        return ("null" if right is None else to_text(right)) in left
    if isinstance(left, Mapping):
        return isinstance(right, str | int | float) and right in left
    if is_list(left):
        return all(_holds(left, item) for item in right) if is_list(right) else _holds(left, right)
    raise ExpressionFailed(f"Contains operator can only be used on Collections, Maps and arrays. Actual type was: {class_name(left)}")


def _holds(items: Iterable[Any], wanted: Any) -> bool:
    return any(same(item, wanted) for item in items)


def op_range(start: Any, end: Any) -> list[Any]:
    return span(start, end, 1)


def _cast(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value != ""
    if _is_number(value):
        return not (isinstance(value, float) and math.isnan(value)) and value != 0
    raise ExpressionFailed(f"Unsupported value type {class_name(value)}. Expected Boolean, String, Number as a condition")


def op_truth(value: Any, operator: str) -> bool:
    """One side of `and` or `or`; null is refused."""
    if value is None:
        raise ExpressionFailed(f"null value used in {operator} operator and strict variables is set to true")
    return _cast(value)


def op_not(value: Any) -> bool:
    if value is None:
        raise ExpressionFailed("null value given to not() and strict variables is set to true")
    return not _cast(value)


def op_negate(value: bool) -> bool:
    """`is not`."""
    return not value


def op_choose(value: Any) -> bool:
    """The condition of a ternary; null chooses the second branch."""
    return value is not None and _cast(value)


def op_condition(value: Any) -> bool:
    """The condition of an `if` tag; null is refused."""
    if value is None:
        raise ExpressionFailed("null value given to if statement and strict variables is set to true")
    return _cast(value)


OPERATORS: Mapping[str, Callable[..., Any]] = {name: held for name, held in globals().items() if name.startswith("op_")}
