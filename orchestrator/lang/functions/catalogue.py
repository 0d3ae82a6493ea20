"""How a filter or function is declared: its name, its arguments in order, and what runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.javatext import class_name
from orchestrator.lang.functions.services import ExpressionServices


class Rendering(Protocol):
    """What a function may know of the rendering it is called from."""

    @property
    def services(self) -> ExpressionServices | None:
        """The I/O behind the expression, or None where there is none."""

    def variable(self, name: str) -> Any:
        """A variable's value, or None when it is not there."""

    def variables(self) -> Mapping[str, Any]:
        """All variables in scope."""

    def render_again(self, value: Any, *, recursive: bool) -> Any:
        """A value with its templates rendered: text, or maps and lists holding text."""


@dataclass(frozen=True)
class Entry:
    """One filter or function. An argument that is not given is None.

    `parameters` are its names in order, after the filter's input; None means any number, without names.
    `required` counts those that must be given. `scoped`: `run` takes the Rendering first.
    """

    name: str
    parameters: tuple[str, ...] | None
    run: Callable[..., Any]
    required: int = 0
    scoped: bool = False


Table = dict[str, Entry]


def entry(
    table: Table, *names: str, parameters: tuple[str, ...] | None = (), required: int = 0, scoped: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the function below under every one of `names`."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            table[name] = Entry(name, parameters, run, required, scoped)
        return run

    return register


def wrong_input(name: str, expected: str, value: Any) -> ExpressionFailed:
    """The error of a filter that was given a value of a kind it cannot take."""
    return ExpressionFailed(f"'{name}' filter can only be applied to {expected}. Actual type was: {class_name(value)}")


def whole(name: str, argument: str, value: Any) -> int:
    """A whole number argument. Raises ExpressionFailed for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionFailed(f"The argument '{argument}' of '{name}' must be a number")
    return int(value)
