"""Functions that look at the rendering they are called from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Rendering, Table, entry
from orchestrator.lang.functions.printing import is_list, to_text

SURROUNDING_FUNCTIONS: Table = {}


@entry(SURROUNDING_FUNCTIONS, "render", parameters=("toRender", "recursive"), required=1, scoped=True)
def render(rendering: Rendering, value: Any, recursive: Any = None) -> Any:
    """A value rendered until it no longer changes, or once when `recursive` is false."""
    if recursive not in (None, True, False):
        raise ExpressionFailed("The 'render' function expects an optional argument 'recursive' with type boolean.")
    return rendering.render_again(value, recursive=recursive is not False)


@entry(SURROUNDING_FUNCTIONS, "renderOnce", parameters=("toRender",), required=1, scoped=True)
def render_once(rendering: Rendering, value: Any) -> Any:
    return rendering.render_again(value, recursive=False)


@entry(SURROUNDING_FUNCTIONS, "printContext", "fetchContext", scoped=True)
def print_context(rendering: Rendering) -> dict[str, Any]:
    """All variables in scope."""
    return dict(rendering.variables())


@entry(SURROUNDING_FUNCTIONS, "currentEachOutput", parameters=("outputs",), required=1, scoped=True)
def current_each_output(rendering: Rendering, outputs: Any) -> Any:
    """The outputs of this turn of the loops around the task: indexed by every parent's value, then by its own."""
    if not isinstance(outputs, Mapping):
        raise ExpressionFailed("The 'currentEachOutput' function expects an argument 'outputs' with type map.")
    parents = rendering.variable("parents")
    for parent in reversed(list(parents)) if is_list(parents) else []:
        run = parent.get("taskrun") if isinstance(parent, Mapping) else None
        if isinstance(run, Mapping):
            outputs = _of(outputs, run)
            if not isinstance(outputs, Mapping):
                raise ExpressionFailed("No execution outputs for the current task runs path")
    run = rendering.variable("taskrun")
    return _of(outputs, run) if isinstance(run, Mapping) else None


def _of(outputs: Mapping[Any, Any], run: Mapping[Any, Any]) -> Any:
    value = run.get("value")
    if value is None:
        return outputs.get(value)
    return outputs.get(to_text(value), outputs.get(value) if isinstance(value, str | int | float) else None)
