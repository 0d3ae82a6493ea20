"""Where a task run stands among the loops around it, and the runs of a task as a tree by the loops' values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from orchestrator.model.execution import TaskRun
from orchestrator.model.values import Json

MISSING: Json = object()


class Path(NamedTuple):
    """The values of the loops around a run, outermost first, and the loops' task ids."""

    values: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()


_TOP = Path()


class Paths:
    """The paths of all runs, and per task a tree: value of the outermost loop -> ... -> run id."""

    def __init__(self, run: Callable[[str], TaskRun | None]) -> None:
        self._run = run
        self._paths: dict[str, Path] = {}
        self._trees: dict[str, tuple[tuple[str, ...], Json]] = {}

    def of(self, run: TaskRun) -> Path:
        """The path of a run. Its ancestors' are worked out on the way."""
        found = self._paths.get(run.id)
        if found is None:
            found = self._paths[run.id] = self._work_out(run)
        return found

    def _work_out(self, run: TaskRun) -> Path:
        parent = self._run(run.parent_id) if run.parent_id is not None else None
        if parent is None:
            return _TOP
        above = self.of(parent)
        return above if run.value is None else Path((*above.values, run.value), (*above.loops, parent.task_id))

    def add(self, run: TaskRun) -> None:
        """Put a new run into its task's tree; of two with equal values the later counts."""
        path = self.of(run)
        if not path.values:
            self._trees[run.task_id] = ((), run.id)
            return
        node = self._trees.setdefault(run.task_id, (path.loops, {}))[1]
        for value in path.values[:-1]:
            node = node.setdefault(value, {})
        node[path.values[-1]] = run.id

    def forget(self, run: TaskRun) -> None:
        """Take a run out of its task's tree, unless another has its place."""
        values = self.of(run).values
        del self._paths[run.id]
        if not values:
            if self._trees.get(run.task_id, ((), None))[1] == run.id:
                del self._trees[run.task_id]
            return
        node = self._trees[run.task_id][1]
        for value in values[:-1]:
            node = node.get(value, {})
        if node.get(values[-1]) == run.id:
            del node[values[-1]]

    def tasks(self) -> Mapping[str, object]:
        """The ids of all tasks that have a run."""
        return self._trees

    def shared(self, task_id: str, run: TaskRun | None) -> tuple[str, ...]:
        """The values of those loops around `run` that are also around the task; () when there is none."""
        if run is None or task_id not in self._trees:
            return ()
        path, depth = self.of(run), 0
        for mine, its in zip(path.loops, self._trees[task_id][0], strict=False):
            if mine != its:
                break
            depth += 1
        return path.values[:depth]

    def tree(self, task_id: str, leaf: Callable[[TaskRun], Json], only: tuple[str, ...] = ()) -> Json:
        """What `leaf` gives of each run of a task, nested by the loops' values; below the values `only` where given.

        A leaf that is MISSING is left out; MISSING when nothing is left.
        """
        if task_id not in self._trees:
            return MISSING
        return self._below(self._trees[task_id][1], leaf, only)

    def _below(self, node: Json, leaf: Callable[[TaskRun], Json], only: tuple[str, ...]) -> Json:
        if isinstance(node, str):
            run = self._run(node)
            return leaf(run) if run is not None else MISSING
        names = only[:1] or tuple(node)
        found = {name: self._below(node[name], leaf, only[1:]) for name in names if name in node}
        kept = {name: value for name, value in found.items() if value is not MISSING}
        return kept or MISSING
