"""The variables that templates see, only those asked for.

Under loops a task's outputs are nested by the values of all loops around it: `outputs.t[v1][v2]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from orchestrator.engine.paths import MISSING
from orchestrator.engine.standing import is_home
from orchestrator.engine.tree import type_of
from orchestrator.engine.view import ExecutionView
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.values import Json, Label

Wanted = frozenset[tuple[str, ...]]
_ALL = ("*",)


def variables(view: ExecutionView, run: TaskRun | None, wanted: Wanted | None) -> tuple[dict[str, Json], tuple[str, ...]]:
    """What the templates of a run (None: of the execution) may name, and the tasks whose outputs are given in part.

    `wanted` holds paths of names (`("outputs", "t1", "value")`); None or the path `("*",)` mean everything. In part
    means: of the loops around both the task and the run, only the present iterations; `outputs_of` gives the rest.
    """
    paths = None if wanted is None or _ALL in wanted else wanted
    names = None if paths is None else {path[0] for path in paths}
    found: dict[str, Json] = {name: value for name, value in view.execution.variables.items() if names is None or name in names}
    for name, give in _GIVERS.items():
        if (names is None or name in names) and (value := give(view, run, _below(paths, name))) is not MISSING:
            found[name] = value
    partial: tuple[str, ...] = ()
    if names is None or "outputs" in names:
        found["outputs"], partial = _outputs(view, run, _tasks(view, _below(paths, "outputs")))
    return found, partial


def outputs_of(view: ExecutionView, task_id: str) -> Json:
    """All outputs of a task, nested by the values of the loops around it; None when it has none."""
    found = view.paths.tree(task_id, _outputs_leaf)
    return None if found is MISSING else found


def milliseconds(at: datetime) -> str:
    """An instant as templates see it: ISO-8601 UTC with milliseconds and `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _below(paths: Wanted | None, name: str) -> frozenset[str] | None:
    """The second names asked for under a first one; None when any may be meant."""
    if paths is None:
        return None
    ours = [path for path in paths if path[0] == name]
    if any(len(path) < 2 or path[1] == "*" for path in ours):
        return None
    return frozenset(path[1] for path in ours)


def _tasks(view: ExecutionView, ids: frozenset[str] | None) -> Iterable[str]:
    return tuple(view.paths.tasks()) if ids is None else sorted(ids)


# --- outputs and states of tasks


def _outputs(view: ExecutionView, run: TaskRun | None, task_ids: Iterable[str]) -> tuple[Json, tuple[str, ...]]:
    found, partial = {}, []
    for task_id in task_ids:
        only = view.paths.shared(task_id, run)
        value = view.paths.tree(task_id, _outputs_leaf, only)
        if value is not MISSING:
            found[task_id] = value
        if only:
            partial.append(task_id)
    return found, tuple(partial)


def _outputs_leaf(run: TaskRun) -> Json:
    return run.outputs if run.outputs else MISSING


def _states(view: ExecutionView, run: TaskRun | None, ids: frozenset[str] | None) -> Json:
    trees = {task_id: view.paths.tree(task_id, _state_leaf) for task_id in _tasks(view, ids)}
    return {task_id: tree for task_id, tree in trees.items() if tree is not MISSING}


def _state_leaf(run: TaskRun) -> Json:
    return {"state": run.state.current.value}


# --- everything else


def _flow(view: ExecutionView, run: TaskRun | None, ids: frozenset[str] | None) -> Json:
    return {"id": view.flow.id, "namespace": view.flow.namespace, "revision": view.execution.flow_revision}


def _task(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    if run is None:
        return MISSING
    if names is not None and "type" not in names:
        return {"id": run.task_id}
    return {"id": run.task_id, "type": type_of(view.flow, run.task_id)}


def _taskrun(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    if run is None:
        return MISSING
    ended = sum(attempt.state.current.ended for attempt in run.attempts)
    found: dict[str, Json] = {"id": run.id, "startDate": milliseconds(run.state.start), "attemptsCount": ended}
    about = _loop_of(view, run)
    optional = {"parentId": run.parent_id, "value": about.value, "iteration": about.iteration}
    return found | {name: value for name, value in optional.items() if value is not None}


def _loop_of(view: ExecutionView, run: TaskRun) -> TaskRun:
    """The run that says which iteration it is: a workspace says it for its tasks."""
    home = view.run(run.parent_id or "")
    return home if home is not None and run.value is None and is_home(home) else run


def _worker_taskrun(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    """The workspace that a run is of."""
    home = next((parent for parent in view.parents(run) if is_home(parent)), None) if run is not None else None
    return MISSING if home is None else _taskrun(view, home, names)


def _execution(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    execution = view.execution
    found: dict[str, Json] = {"id": execution.id, "startDate": milliseconds(execution.state.start), "state": execution.current.value}
    return found if execution.original_id is None else found | {"originalId": execution.original_id}


def _inputs(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    given = view.execution.inputs
    if not given and not view.flow.inputs:
        return MISSING
    return dict(given) if names is None else {name: value for name, value in given.items() if name in names}


def _vars(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    found = vars_of(view.flow, view.execution)
    return dict(found) if found else MISSING


def vars_of(flow: Flow, execution: Execution) -> Mapping[str, Json]:
    """The flow's variables, as tasks of the execution have changed them."""
    return flow.variables if execution.vars is None else execution.vars


def _labels(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    return nested(view.execution.labels)


def _trigger(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    return MISSING if view.execution.trigger is None else dict(view.execution.trigger.variables)


def _parent(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    above = _parents(view, run, None)
    return above[0] if above is not MISSING else MISSING


def _parents(view: ExecutionView, run: TaskRun | None, names: frozenset[str] | None) -> Json:
    """The runs above that have something to tell, a loop's value or outputs, nearest first; the others are passed over."""
    shown = [_one_parent(parent) for parent in view.parents(run)] if run is not None else []
    return [parent for parent in shown if parent] or MISSING


def _one_parent(run: TaskRun) -> Mapping[str, Json]:
    found: dict[str, Json] = {}
    if run.value is not None:
        found["taskrun"] = {"value": run.value}
    if run.outputs:
        found["outputs"] = run.outputs
    return found


def nested(labels: Iterable[Label]) -> dict[str, Json]:
    """Labels as a map in which dots nest; of two equal keys the first counts."""
    found: dict[str, Json] = {}
    for label in labels:
        *above, last = label.key.split(".")
        node: Json = found
        for name in above:
            node = node.setdefault(name, {}) if isinstance(node, dict) else None
        if isinstance(node, dict):
            node.setdefault(last, label.value)
    return found


_GIVERS: Mapping[str, Callable[[ExecutionView, TaskRun | None, frozenset[str] | None], Json]] = {
    "flow": _flow,
    "task": _task,
    "taskrun": _taskrun,
    "workerTaskrun": _worker_taskrun,
    "execution": _execution,
    "inputs": _inputs,
    "vars": _vars,
    "labels": _labels,
    "trigger": _trigger,
    "parent": _parent,
    "parents": _parents,
    "tasks": _states,
}
