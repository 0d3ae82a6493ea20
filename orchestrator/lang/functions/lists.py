"""Filters on lists and maps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.catalogue import Table, entry, whole, wrong_input
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.printing import is_list, to_text, weigh

LIST_FILTERS: Table = {}
_NUMBERS = int | float | Decimal


def same(left: Any, right: Any) -> bool:
    """Equality of the language: numbers across their types, everything else only with its own kind."""
    if left is not right:
        weigh(left)
        weigh(right)
    return _same(left, right)


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if isinstance(left, bool) or isinstance(right, bool):
        return isinstance(left, bool) and isinstance(right, bool) and left == right
    if isinstance(left, datetime) and isinstance(right, datetime) and (left.tzinfo is None) != (right.tzinfo is None):
        return False
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return len(left) == len(right) and all(key in right and _same(value, right[key]) for key, value in left.items())
    if is_list(left) and is_list(right):
        return len(left) == len(right) and all(_same(one, other) for one, other in zip(left, right, strict=False))
    return bool(left == right)


@entry(LIST_FILTERS, "chunk", parameters=("size",), required=1)
def chunk(value: Any, size: Any = None) -> Any:
    """A list cut into lists of `size`."""
    if value is None:
        return None
    if not is_list(value):
        raise wrong_input("chunk", "List", value)
    step = whole("chunk", "size", size)
    if step < 1:
        raise ExpressionFailed("The argument 'size' of 'chunk' must be greater than 0")
    items = list(value)
    return [items[start : start + step] for start in range(0, len(items), step)]


@entry(LIST_FILTERS, "distinct")
def distinct(value: Any) -> Any:
    """A list without what equals an item before it."""
    if value is None:
        return None
    if not is_list(value):
        raise wrong_input("distinct", "List", value)
    found: dict[str, list[Any]] = {}  # by how they are written: equal items are mostly written alike
    return [item for item in value if _is_new(item, found)]


def _is_new(item: Any, found: dict[str, list[Any]]) -> bool:
    alike = found.setdefault(f"{class_name(item)} {to_text(item)}", [])
    if any(same(item, other) for other in alike):
        return False
    alike.append(item)
    return True


@entry(LIST_FILTERS, "first")
def first(value: Any) -> Any:
    return _end(value, 0)


@entry(LIST_FILTERS, "last")
def last(value: Any) -> Any:
    return _end(value, -1)


def _end(value: Any, place: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, str) or is_list(value):
        items = value if isinstance(value, str) else list(value)
        return items[place] if items else None
    raise wrong_input("first" if place == 0 else "last", "String, List, Map", value)


@entry(LIST_FILTERS, "flatten")
def flatten(value: Any) -> Any:
    """A list with the lists in it replaced by their items, one level."""
    if value is None:
        return None
    if not is_list(value):
        raise wrong_input("flatten", "List", value)
    found: list[Any] = []
    for item in value:
        found.extend(item) if is_list(item) else found.append(item)
        limits.items_within(len(found))
    return found


@entry(LIST_FILTERS, "join", parameters=("separator",))
def join(value: Any, separator: Any = None) -> Any:
    if value is None:
        return None
    if not is_list(value):
        raise wrong_input("join", "List", value)
    between, texts = to_text(separator), [to_text(item) for item in value]
    limits.text_within(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


@entry(LIST_FILTERS, "keys")
def keys(value: Any) -> Any:
    """The keys of a map, the indexes of a list."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return list(value)
    if is_list(value):
        return list(range(len(value)))
    raise wrong_input("keys", "List, Map, Array", value)


@entry(LIST_FILTERS, "values")
def values(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise wrong_input("values", "Map", value)
    return list(value.values())


@entry(LIST_FILTERS, "length")
def length(value: Any) -> int:
    return len(value) if isinstance(value, str | Mapping) or is_list(value) else 0


@entry(LIST_FILTERS, "merge", parameters=("items",))
def merge(value: Any, items: Any = None) -> Any:
    """Two lists one after the other, two maps with the second put over the first."""
    if value is None or items is None:
        if value is None and items is None:
            raise ExpressionFailed("The two arguments to be merged are null")
        return items if value is None else value
    if isinstance(value, Mapping) and isinstance(items, Mapping):
        return {**value, **items}
    if isinstance(value, Mapping) and is_list(items):
        return {**value, **{to_text(item): item for item in items}}
    if is_list(value) and (is_list(items) or isinstance(items, Mapping)):
        added = [{"key": key, "value": held} for key, held in items.items()] if isinstance(items, Mapping) else list(items)
        limits.items_within(len(value) + len(added))
        return [*value, *added]
    raise ExpressionFailed(f"'merge' cannot put {class_name(items)} to {class_name(value)}")


@entry(LIST_FILTERS, "reverse")
def reverse(value: Any) -> Any:
    if value is None:
        return None
    if not is_list(value):
        raise wrong_input("reverse", "List", value)
    return list(value)[::-1]


@entry(LIST_FILTERS, "sort")
def sort(value: Any) -> Any:
    return _sorted("sort", value)


@entry(LIST_FILTERS, "rsort")
def rsort(value: Any) -> Any:
    found = _sorted("rsort", value)
    return found if found is None else found[::-1]


def _sorted(name: str, value: Any) -> Any:
    if value is None:
        return None
    if not is_list(value):
        raise wrong_input(name, "List", value)
    weigh(value)
    try:
        return sorted(value)
    except TypeError as problem:
        raise ExpressionFailed(f"'{name}' cannot compare the items with one another: {problem}") from problem


@entry(LIST_FILTERS, "slice", parameters=("fromIndex", "toIndex"))
def slice_(value: Any, begin: Any = None, end: Any = None) -> Any:
    """Part of a list or text, from `begin` (0) up to but not including `end`."""
    if value is None:
        return None
    if not isinstance(value, str) and not is_list(value):
        raise wrong_input("slice", "String, List and array", value)
    size, start = len(value), 0 if begin is None else whole("slice", "fromIndex", begin)
    stop = size if end is None else whole("slice", "toIndex", end)
    if start < 0:
        raise ExpressionFailed("fromIndex must be greater than 0")
    if stop > size:
        raise ExpressionFailed(f"toIndex must be smaller than input size: {size}")
    if (end is not None and start >= stop) or start > size:
        raise ExpressionFailed("toIndex must be greater than fromIndex")
    return value[start:stop] if isinstance(value, str) else list(value)[start:stop]
