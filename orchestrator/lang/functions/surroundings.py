"""Functions that look at the rendering they are called from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Rendering, Table, entry, whole
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
    outputs = _below_parents(rendering, outputs)
    run = rendering.variable("taskrun")
    return _of(outputs, run) if isinstance(run, Mapping) else None


def _below_parents(rendering: Rendering, outputs: Any) -> Any:
    """A task's outputs in the turns of the loops around the loop that runs."""
    parents = rendering.variable("parents")
    for parent in reversed(list(parents)) if is_list(parents) else []:
        run = parent.get("taskrun") if isinstance(parent, Mapping) else None
        if isinstance(run, Mapping):
            outputs = _of(outputs, run) if isinstance(outputs, Mapping) else None
            if not isinstance(outputs, Mapping):
                raise ExpressionFailed("No execution outputs for the current task runs path")
    return outputs


def _of(outputs: Mapping[Any, Any], run: Mapping[Any, Any]) -> Any:
    value = run.get("value")
    if value is None:
        return outputs.get(value)
    return outputs.get(to_text(value), outputs.get(value) if isinstance(value, str | int | float) else None)


@entry(SURROUNDING_FUNCTIONS, "tasksWithState", parameters=("state",), required=1, scoped=True)
def tasks_with_state(rendering: Rendering, state: Any) -> list[dict[str, str]]:
    """The task runs of the execution that are in a state: `taskId`, `state`, and `value` of those in a loop."""
    wanted, tasks = to_text(state).upper(), rendering.variable("tasks")
    return [found for task_id, tree in tasks.items() for found in _in_state(to_text(task_id), tree, wanted)] if isinstance(tasks, Mapping) else []


def _in_state(task_id: str, tree: Any, wanted: str, value: str | None = None) -> Iterator[dict[str, str]]:
    if not isinstance(tree, Mapping):
        return
    if tree.get("state") == wanted:
        yield {"taskId": task_id, "state": wanted, **({} if value is None else {"value": value})}
    for name, below in tree.items():
        yield from _in_state(task_id, below, wanted, to_text(name))


@entry(SURROUNDING_FUNCTIONS, "iterationOutput", parameters=("taskId", "iteration"), scoped=True)
def iteration_output(rendering: Rendering, task_id: Any = None, iteration: Any = None) -> Any:
    """What a task of the loop around gave as `value` in an iteration: this task in the iteration before, when nothing is said."""
    task, run = rendering.variable("task"), rendering.variable("taskrun")
    if not isinstance(run, Mapping) or run.get("iteration") is None:
        raise ExpressionFailed("The 'iterationOutput' function can be used in the tasks of a loop only")
    number = run["iteration"] - 1 if iteration is None else whole("iterationOutput", "iteration", iteration)
    name = to_text(task.get("id") if task_id is None and isinstance(task, Mapping) else task_id)
    found = _below_parents(rendering, (rendering.variable("outputs") or {}).get(name))
    values = list(found.values()) if isinstance(found, Mapping) else []
    if not 0 <= number < len(values):
        raise ExpressionFailed(f"The task '{name}' has no outputs of iteration {number}")
    return values[number].get("value") if isinstance(values[number], Mapping) else None


@entry(SURROUNDING_FUNCTIONS, "iterationOutputs", parameters=("iteration", "taskId"), scoped=True)
def iteration_outputs(rendering: Rendering, iteration: Any = None, task_id: Any = None) -> Any:
    return iteration_output(rendering, task_id, iteration)
