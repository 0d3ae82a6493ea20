"""What tags do while a template runs: loops, assignments, blocks, macros."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions.scope import Frame, Macro, Scope
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.printing import is_list, to_text


class Loop:
    """A `for` while it runs, and the value of `loop` inside it. `empty` is for the `else` branch."""

    __slots__ = ("empty", "index", "items", "name", "scope")

    def __init__(self, scope: Scope, name: str, items: Any) -> None:
        self.scope = scope
        self.name = name
        self.items = _iterable(items)
        self.empty = items is not None and not self.items
        self.index = 0

    def __iter__(self) -> Iterator[None]:
        if not self.items:
            return
        frame = Frame(loop=self)
        self.scope.frames.append(frame)
        for index, item in enumerate(self.items):
            self.scope.usage.turn()
            self.index = index
            frame[self.name] = item
            yield
        self.scope.frames.remove(frame)

    def attribute(self, scope: Scope, key: Any, line: int) -> Any:
        length = len(self.items)
        known = {"index": self.index, "length": length, "first": self.index == 0, "last": self.index == length - 1, "revindex": length - 1 - self.index}
        if key not in known:
            raise scope.undefined(key, line)
        return known[key]


def _iterable(items: Any) -> list[Any]:
    if items is None:
        return []
    if isinstance(items, Mapping):
        return [{"key": key, "value": value} for key, value in items.items()]
    if is_list(items):
        return list(items)
    raise ExpressionFailed(f"Not an iterable object: {class_name(items)}")


def op_loop(scope: Scope, name: str, items: Any) -> Loop:
    return Loop(scope, name, items)


def op_set(scope: Scope, name: str, value: Any) -> None:
    scope.assign(name, value)


def op_raw(scope: Scope, text: str) -> str:
    """A raw block: as it stands while rendering goes on in rounds, its content at the end."""
    return text if scope.keep_raw else text[text.index("%}") + 2 : text.rindex("{%")]


def op_capture(scope: Scope, body: str) -> str:
    return scope.capture(body)


def op_block(scope: Scope, name: Any) -> str:
    body = scope.compiled.blocks.get(to_text(name))
    if body is None:
        return ""
    return _nested(scope, lambda: scope.capture(body))


def op_macro(scope: Scope, name: str, positional: list[Any], named: Mapping[str, Any]) -> str:
    """What a macro prints; it sees its arguments and no other variable."""
    body, parameters = scope.compiled.macros[name]
    if len(positional) > len(parameters):
        raise ExpressionFailed(f"The macro '{name}' takes at most {len(parameters)} arguments")
    given = Macro(zip(parameters, positional, strict=False))
    for key, value in named.items():
        if key not in parameters:
            raise ExpressionFailed(f"The following named argument does not exist for '{name}': {key}")
        given[key] = value
    depth = len(scope.frames)
    scope.frames.append(given)
    text = _nested(scope, lambda: scope.capture(body))
    del scope.frames[depth:]
    return text


def _nested(scope: Scope, run: Callable[[], str]) -> str:
    scope.usage.turn()
    scope.usage.nesting += 1
    if scope.usage.nesting > limits.RENDER_NESTING:
        raise ExpressionFailed("Too many calls of macros and blocks inside one another")
    text = run()
    scope.usage.nesting -= 1
    return text


def lazy_parameter(scope: Scope, name: Callable[[], str], value: Callable[[], Any]) -> None:
    """A macro's parameter takes its default when the call did not give it."""
    if name() not in scope.frames[-1]:
        scope.frames[-1][name()] = value()


BODY_OPERATIONS: Mapping[str, Callable[..., Any]] = {name: held for name, held in globals().items() if name.startswith(("op_", "lazy_"))}
