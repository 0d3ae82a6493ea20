"""One rendering while it runs: its variables, the scopes that tags open, and how much it has used."""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions import limits
from orchestrator.lang.functions.faults import Undefined, shortened
from orchestrator.lang.functions.printing import to_text

if TYPE_CHECKING:
    from orchestrator.lang.expressions.compiler import Compiled
    from orchestrator.lang.expressions.renderer import Renderer
    from orchestrator.lang.functions.services import ExpressionServices

GONE = object()
"""What `lookup` finds where there is nothing."""


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
                return GONE
        try:
            return self.root[name]
        except KeyError:
            return GONE

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
        return None if found is GONE else found

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
