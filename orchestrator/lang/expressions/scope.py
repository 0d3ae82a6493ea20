"""One rendering while it runs: its variables, the scopes that tags open, and how much it has used."""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.checks import is_empty
from orchestrator.lang.functions.faults import Undefined, shortened
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.printing import is_list, to_text

if TYPE_CHECKING:
    from orchestrator.lang.expressions.compiler import Compiled
    from orchestrator.lang.expressions.renderer import Renderer
    from orchestrator.lang.functions.services import ExpressionServices

_GONE = object()


class Frame(dict[str, Any]):
    """The variables of one `for` or macro; `closed` hides those outside (a macro)."""

    closed = False


class Macro(Frame):
    closed = True


class Usage:
    """What a rendering and the renderings inside it have used up together."""

    __slots__ = ("began", "nesting", "turns")

    def __init__(self) -> None:
        self.turns = 0
        self.nesting = 0
        self.began = 0.0

    def turn(self) -> None:
        """Count one turn of a loop, or one body printed inside another. Raises ExpressionFailed past the bounds."""
        now = time.monotonic()
        self.began = self.began or now
        self.turns += 1
        if self.turns > limits.LOOP_TURNS:
            raise ExpressionFailed(f"The loops of the expression take more than {limits.LOOP_TURNS} turns")
        if now - self.began > limits.RENDER_SECONDS:
            raise ExpressionFailed(f"The expression takes more than {limits.RENDER_SECONDS:g} s")


class Scope:
    """What the code of a compiled template runs on. Slots only: one is made for every rendering."""

    __slots__ = ("compiled", "frames", "keep_raw", "renderer", "root", "usage")

    def __init__(self, renderer: Renderer, compiled: Compiled, root: Mapping[str, Any], usage: Usage, *, keep_raw: bool = False) -> None:
        self.renderer = renderer
        self.compiled = compiled
        self.root = root
        self.usage = usage
        self.keep_raw = keep_raw
        self.frames: list[Frame] = []

    # ---- variables ---------------------------------------------------------------------

    def lookup(self, name: str) -> Any:
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
            if frame.closed:
                return _GONE
        try:
            return self.root[name]
        except KeyError:
            return _GONE

    def assign(self, name: str, value: Any) -> None:
        """`set`: changes the variable in the innermost scope that has it, otherwise makes it in the current one."""
        if not self.frames:
            self.frames.append(Frame())
        for frame in reversed(self.frames):
            if name in frame or frame.closed:
                frame[name] = value
                return
        place = self.frames[0] if name in self.root else self.frames[-1]
        place[name] = value

    def undefined(self, name: Any, line: int) -> Undefined:
        return Undefined(f"Unable to find `{to_text(name)}` used in the expression `{shortened(self.compiled.source)}` at line {line}")

    # ---- what functions may ask (the Rendering protocol) --------------------------------

    @property
    def services(self) -> ExpressionServices | None:
        return self.renderer.services

    def variable(self, name: str) -> Any:
        found = self.lookup(name)
        return None if found is _GONE else found

    def variables(self) -> Mapping[str, Any]:
        if not self.frames:
            return self.root
        shown: list[Frame] = []
        for frame in reversed(self.frames):
            shown.append(frame)
            if frame.closed:
                return ChainMap(*shown)
        return ChainMap(*shown, self.root)  # type: ignore[arg-type]  # only read

    def render_again(self, value: Any, *, recursive: bool) -> Any:
        return self.renderer.render_inside(value, self.variables(), self.usage, recursive=recursive)

    # ---- bodies ------------------------------------------------------------------------

    def capture(self, body: str) -> str:
        return join(self.compiled.bodies[body](self))


def join(parts: Iterable[Any]) -> str:
    """The printed parts as one text. Raises ExpressionFailed when it grows too long."""
    texts: list[str] = []
    size = 0
    for part in parts:
        text = part if type(part) is str else to_text(part)
        size += len(text)
        if size > limits.OUTPUT_CHARS:
            limits.text_within(size)
        texts.append(text)
    return texts[0] if len(texts) == 1 else "".join(texts)


def op_name(scope: Scope, name: str, line: int) -> Any:
    """A variable's value."""
    if scope.frames:
        found = scope.lookup(name)
        if found is _GONE:
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


def _try(scope: Scope, value: Callable[[], Any]) -> Any:
    """The value, or _GONE where something in it is undefined; scopes that were open inside are closed."""
    depth, nesting = len(scope.frames), scope.usage.nesting
    try:
        return value()
    except Undefined:
        del scope.frames[depth:]
        scope.usage.nesting = nesting
        return _GONE


def lazy_coalesce(scope: Scope, left: Callable[[], Any], right: Callable[[], Any]) -> Any:
    """`left ?? right`."""
    found = _try(scope, left)
    return right() if found is _GONE or found is None else found


def lazy_if_undefined(scope: Scope, left: Callable[[], Any], right: Callable[[], Any]) -> Any:
    """`left ??? right`."""
    found = _try(scope, left)
    return right() if found is _GONE else found


def lazy_defined(scope: Scope, value: Callable[[], Any]) -> bool:
    """`value is defined`: neither undefined nor null."""
    return _try(scope, value) not in (_GONE, None)


def lazy_default(scope: Scope, value: Callable[[], Any], instead: Callable[[], Any] = lambda: None) -> Any:
    """`value | default(instead)`: for undefined, null and empty."""
    found = _try(scope, value)
    return instead() if found is _GONE or found is None or is_empty(found) else found


SCOPED: Mapping[str, Callable[..., Any]] = {name: held for name, held in globals().items() if name.startswith(("op_", "lazy_"))}
