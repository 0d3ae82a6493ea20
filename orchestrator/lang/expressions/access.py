"""How an expression reaches a variable, and an item of a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.lang.expressions.bodies import Loop
from orchestrator.lang.expressions.scope import GONE, Scope
from orchestrator.lang.functions.checks import is_empty
from orchestrator.lang.functions.faults import Undefined
from orchestrator.lang.functions.printing import is_list, to_text


def op_name(scope: Scope, name: str, line: int) -> Any:
    """A variable's value."""
    if scope.frames:
        found = scope.lookup(name)
        if found is GONE:
            raise scope.undefined(name, line)
        return found
    try:
        return scope.root[name]
    except KeyError:
        raise scope.undefined(name, line) from None


def op_attribute(scope: Scope, holder: Any, key: Any, root: str | None, line: int) -> Any:
    """`a.b`, `a['b']`, `a[0]`: an item of a map or list, nothing of the object itself. `root` names the variable when the holder is one."""
    if isinstance(holder, Mapping):
        try:
            return holder[key]
        except (KeyError, TypeError):
            return _other_key(scope, holder, key, line)
    if holder is None:
        raise scope.undefined(key if root is None else root, line)
    if isinstance(holder, Loop):
        return holder.attribute(scope, key, line)
    place = _index(key)
    if place is not None and is_list(holder) and place < len(holder) and not isinstance(holder, set | frozenset):
        return holder[place]
    raise scope.undefined(key, line)


def _other_key(scope: Scope, holder: Mapping[Any, Any], key: Any, line: int) -> Any:
    """The item when the key was written as another type: `outputs.each[1]` finds "1"."""
    if isinstance(key, str) and (place := _index(key)) is not None and place in holder:
        return holder[place]
    if not isinstance(key, str) and (text := to_text(key)) in holder:
        return holder[text]
    raise scope.undefined("null" if key is None else key, line)


def _index(key: Any) -> int | None:
    if isinstance(key, int) and not isinstance(key, bool) and key >= 0:
        return key
    return int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10 else None


def _try(scope: Scope, value: Callable[[], Any]) -> Any:
    """The value, or GONE where something in it is undefined; scopes that were open inside are closed."""
    depth, nesting = len(scope.frames), scope.usage.nesting
    try:
        return value()
    except Undefined:
        del scope.frames[depth:]
        scope.usage.nesting = nesting
        return GONE


def lazy_coalesce(scope: Scope, left: Callable[[], Any], right: Callable[[], Any]) -> Any:
    """`left ?? right`."""
    found = _try(scope, left)
    return right() if found is GONE or found is None else found


def lazy_if_undefined(scope: Scope, left: Callable[[], Any], right: Callable[[], Any]) -> Any:
    """`left ??? right`."""
    found = _try(scope, left)
    return right() if found is GONE else found


def lazy_defined(scope: Scope, value: Callable[[], Any]) -> bool:
    """`value is defined`: neither undefined nor null."""
    return _try(scope, value) not in (GONE, None)


def lazy_default(scope: Scope, value: Callable[[], Any], instead: Callable[[], Any] = lambda: None) -> Any:
    """`value | default(instead)`: for undefined, null and empty."""
    found = _try(scope, value)
    return instead() if found is GONE or found is None or is_empty(found) else found


ACCESS_OPERATIONS: Mapping[str, Callable[..., Any]] = {name: held for name, held in globals().items() if name.startswith(("op_", "lazy_"))}
