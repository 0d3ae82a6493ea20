"""Which variables a template names, so that only those need be sent along with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.expressions.compiler import parsed
from orchestrator.lang.functions.printing import is_list

Path = tuple[str, ...]
_ROUNDS = 10


def is_template(text: Any) -> bool:
    """Whether a text holds anything to render."""
    return isinstance(text, str) and ("{{" in text or "{%" in text or "{#" in text)


def references(template: str) -> frozenset[Path]:
    """The variables a template names, each as a path as far as it is constant: `outputs['t'][taskrun.value].x` is ("outputs", "t").

    ("*",) stands for all of them (`printContext`, `render` of what is not a literal). A template that cannot be read
    names none: rendering it says why. Names bound inside the template (`set`, `for`, macro arguments) are among them.
    """
    return _references(template, 0) if "{" in template else frozenset()


@lru_cache(maxsize=4096)
def _references(template: str, depth: int) -> frozenset[Path]:
    try:
        found = parsed(template)
    except ExpressionFailed:
        return frozenset()
    inner = [_references(text, depth + 1) for text in found.rendered_texts] if depth < _ROUNDS else []
    return found.references.union(*inner)


def references_of(value: Any) -> frozenset[Path]:
    """The variables named by all text in a value, map keys too."""
    if isinstance(value, str):
        return references(value)
    if isinstance(value, Mapping):
        return frozenset().union(*(references_of(part) for item in value.items() for part in item))
    return frozenset().union(*(references_of(item) for item in value)) if is_list(value) else frozenset()


def problem_of(template: str) -> str | None:
    """Why a template cannot be read, or None when it can. Nothing is evaluated."""
    if "{" not in template:
        return None
    try:
        parsed(template)
    except ExpressionFailed as problem:
        return str(problem)
    return None
