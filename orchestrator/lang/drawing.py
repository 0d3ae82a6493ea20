"""A flow drawn: a node for every task, edges in the order in which they run, a cluster around what a flowable leads.

The shapes are those of the REST API's FlowGraph. With task runs every run of a task is a node of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator import registry
from orchestrator.errors import OrchestratorError
from orchestrator.model.execution import TaskRun
from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.model.values import Json
from orchestrator.sdk import AnyTask, Drawn, Flowable

_TYPES = "io.kestra.core.models.hierarchies."  # what clients tell the kinds of nodes by


def graph_of(flow: Flow, runs: Sequence[TaskRun] = ()) -> dict[str, Json]:
    """The graph of a flow, or of one of its executions, whose task runs are given."""
    drawing = _Drawing(runs)
    lists = _Lists(flow.tasks, flow.errors, flow.finally_, flow.after_execution)
    root = _Cluster("root", None)
    drawing.cluster(root, lists, None, parents=None)
    if flow.triggers:
        drawing.triggers(root, flow)
    return {"nodes": drawing.nodes, "edges": drawing.edges, "clusters": drawing.clusters}


@dataclass
class _Cluster:
    """What is drawn around the tasks of a leader: where they begin and end, and all nodes within."""

    uid: str
    drawn: Drawn | None
    inside: list[str] = field(default_factory=list)

    def point(self, name: str) -> str:
        return f"{self.uid}.${name}"  # no task's id has such a sign


@dataclass(frozen=True)
class _Lists:
    tasks: Sequence[TaskSpec]
    errors: Sequence[TaskSpec]
    finally_: Sequence[TaskSpec]
    after: Sequence[TaskSpec] = ()


@dataclass(frozen=True)
class _Drawn:
    """What was drawn of one task: where edges lead to, and where they come from."""

    enter: str
    leave: str


class _Drawing:
    def __init__(self, runs: Sequence[TaskRun]) -> None:
        self.nodes: list[Json] = []
        self.edges: list[Json] = []
        self.clusters: list[Json] = []
        self._runs: dict[str, list[TaskRun]] = {}
        self._by_id = {run.id: run for run in runs}
        for run in runs:
            self._runs.setdefault(run.task_id, []).append(run)

    # --- small strokes

    def _node(self, cluster: _Cluster, uid: str, kind: str, **more: Json) -> str:
        self.nodes.append({"uid": uid, "type": _TYPES + kind, **{name: value for name, value in more.items() if value is not None}})
        cluster.inside.append(uid)
        return uid

    def _edge(self, source: str, target: str, relation: str | None = None, value: str | None = None) -> None:
        shown = {name: text for name, text in (("relationType", relation), ("value", value)) if text is not None}
        self.edges.append({"source": source, "target": target, "relation": shown})

    # --- clusters

    def cluster(self, cluster: _Cluster, lists: _Lists, leader: tuple[TaskSpec, Flowable, TaskRun | None] | None, parents: Sequence[str] | None) -> None:
        """Draw what a leader leads. `parents` are the clusters around; None: it is the whole, which is no cluster of the answer."""
        root, end = self._node(cluster, cluster.point("root"), "GraphClusterRoot"), cluster.point("end")
        self._node(cluster, end, "GraphClusterEnd")
        first = root
        if leader is not None:
            spec, _, run = leader
            first = self._node(cluster, cluster.uid, "GraphTask", task=dict(spec.raw), taskRun=_shown(run), relationType=cluster.drawn)
            self._edge(root, first)
        after = self._node(cluster, cluster.point("after"), "GraphClusterAfterExecution") if lists.after else end
        last = self._node(cluster, cluster.point("finally"), "GraphClusterFinally") if lists.finally_ else after
        inner = [*(parents or ()), f"cluster_{cluster.uid}"] if parents is not None else []
        self._body(cluster, lists, leader, first, last, inner)
        parent = leader[2] if leader is not None else None
        self._chain(cluster, lists.errors, root, last, parent, inner, relation="ERROR")
        self._chain(cluster, lists.finally_, last, after, parent, inner, relation="FINALLY")
        self._chain(cluster, lists.after, after, end, parent, inner, relation="AFTER_EXECUTION")
        if parents is not None:
            self._note(cluster, leader, parents)

    def _body(
        self, cluster: _Cluster, lists: _Lists, leader: tuple[TaskSpec, Flowable, TaskRun | None] | None, first: str, last: str, inner: Sequence[str]
    ) -> None:
        drawn = cluster.drawn or Drawn.SEQUENTIAL
        if leader is None:
            self._chain(cluster, lists.tasks, first, last, None, inner)
            return
        _, flowable, run = leader
        if drawn is Drawn.GRAPH:
            self._web(cluster, flowable, first, last, run, inner)
        elif drawn is Drawn.DYNAMIC:
            for iteration in self._iterations(run):
                self._chain(cluster, lists.tasks, first, last, run, inner, iteration=iteration)
        elif drawn is Drawn.PARALLEL:
            for spec in lists.tasks:
                for one in self._drawn(cluster, spec, run, inner):
                    self._edge(first, one.enter, drawn.value, None)
                    self._edge(one.leave, last)
        else:
            for branch, tasks in flowable.branches().items():
                value = branch.removeprefix("cases.") if drawn is Drawn.CHOICE else None
                self._chain(cluster, tasks, first, last, run, inner, value=value)

    def _chain(
        self,
        cluster: _Cluster,
        tasks: Sequence[TaskSpec],
        before: str,
        last: str,
        parent: TaskRun | None,
        inner: Sequence[str],
        *,
        relation: str = "SEQUENTIAL",
        value: str | None = None,
        iteration: int | None = None,
    ) -> None:
        """Tasks that follow each other, and what comes after the last."""
        own, is_first = cluster.drawn.value if cluster.drawn is not None else None, True
        for spec in tasks:
            for one in self._drawn(cluster, spec, parent, inner, iteration):
                self._edge(before, one.enter, own if is_first and relation != "ERROR" else relation, value)
                before, is_first = one.leave, False
        if not is_first:
            self._edge(before, last)

    def _web(self, cluster: _Cluster, flowable: Flowable, first: str, last: str, parent: TaskRun | None, inner: Sequence[str]) -> None:
        """Tasks that wait for others."""
        plan = flowable.plan({})
        made = {spec.id: self._drawn(cluster, spec, parent, inner) for spec in plan.tasks}
        needed = {task_id for waits in plan.waits_for.values() for task_id in waits}
        for spec in plan.tasks:
            for one in made[spec.id]:
                waits = [other for task_id in plan.waits_for.get(spec.id, ()) for other in made.get(task_id, ())]
                for other in waits:
                    self._edge(other.leave, one.enter, Drawn.PARALLEL.value)
                if not waits:
                    self._edge(first, one.enter, Drawn.PARALLEL.value)
                if spec.id not in needed:
                    self._edge(one.leave, last)

    def _note(self, cluster: _Cluster, leader: tuple[TaskSpec, Flowable, TaskRun | None] | None, parents: Sequence[str]) -> None:
        about: dict[str, Json] = {"uid": f"cluster_{cluster.uid}", "type": _TYPES + "GraphCluster"}
        if cluster.drawn is not None:
            about["relationType"] = cluster.drawn.value
        if leader is not None:
            about["taskNode"] = {"uid": cluster.uid, "type": _TYPES + "GraphTask", "task": dict(leader[0].raw)}
        self.clusters.append(
            {"cluster": about, "nodes": list(cluster.inside), "parents": list(parents), "start": cluster.point("root"), "end": cluster.point("end")}
        )

    # --- tasks

    def _drawn(self, cluster: _Cluster, spec: TaskSpec, parent: TaskRun | None, inner: Sequence[str], iteration: int | None = None) -> list[_Drawn]:
        """A task, once for every run that it has under its leader's (in that iteration), or once without one."""
        return [self._task(cluster, spec, run, inner) for run in self._runs_of(spec, parent, iteration)]

    def _runs_of(self, spec: TaskSpec, parent: TaskRun | None, iteration: int | None) -> Sequence[TaskRun | None]:
        runs = self._runs.get(spec.id)
        if not runs:
            return [None]
        return [run for run in runs if (parent is None or run.parent_id == parent.id) and iteration in (None, run.iteration)]

    def _iterations(self, leader: TaskRun | None) -> Sequence[int | None]:
        """Those that a loop's run has begun; one without a number where there is none."""
        begun = {run.iteration for run in self._by_id.values() if leader is not None and run.parent_id == leader.id and run.iteration is not None}
        return sorted(begun) or [None]

    def _task(self, cluster: _Cluster, spec: TaskSpec, run: TaskRun | None, inner: Sequence[str]) -> _Drawn:
        uid = "_".join([f"{cluster.uid}.{spec.id}", *self._values(run)])
        flowable = _flowable(spec)
        lists = _Lists(_tasks(flowable), flowable.errors, flowable.finally_) if flowable is not None else None
        if flowable is None or lists is None or not (lists.tasks or lists.errors or lists.finally_):
            self._node(cluster, uid, "GraphTask", task=dict(spec.raw), taskRun=_shown(run), relationType="SEQUENTIAL")
            return _Drawn(uid, uid)
        own = _Cluster(uid, Drawn(flowable.drawn))
        cluster.inside.append(f"cluster_{uid}")
        self.cluster(own, lists, (spec, flowable, run), inner)
        return _Drawn(own.point("root"), own.point("end"))

    def _values(self, run: TaskRun | None) -> list[str]:
        """The values of the loops around a run, outermost first."""
        found: list[str] = []
        while run is not None:
            found += [run.value] if run.value is not None else []
            run = self._by_id.get(run.parent_id or "")
        return found[::-1]

    def triggers(self, root: _Cluster, flow: Flow) -> None:
        """What starts the flow, before its first task."""
        cluster = _Cluster(f"{root.uid}.Triggers", None)
        start, end = self._node(cluster, cluster.point("root"), "GraphClusterRoot"), self._node(cluster, cluster.point("end"), "GraphClusterEnd")
        for trigger in flow.triggers:
            node = self._node(cluster, f"{cluster.uid}.{trigger.id}", "GraphTrigger", triggerDeclaration=dict(trigger.raw))
            self._edge(start, node)
            self._edge(node, end)
        self._edge(end, root.point("root"))
        self._note(cluster, None, ())


def _flowable(spec: TaskSpec) -> Flowable | None:
    """The flowable behind a task; None for one that does something, or whose type or properties are not known any more."""
    try:
        kind: type[AnyTask] = registry.load("task", spec.type)
        return kind.model_validate(dict(spec.raw)) if issubclass(kind, Flowable) else None
    except (OrchestratorError, ValueError):
        return None


def _tasks(flowable: Flowable) -> Sequence[TaskSpec]:
    """What it leads in all, but for what runs beside a pause."""
    return [spec for branch, tasks in flowable.branches().items() if branch != "onPause" for spec in tasks]


def _shown(run: TaskRun | None) -> Mapping[str, Any] | None:
    return run.model_dump(mode="json", by_alias=True, exclude_none=True) if run is not None else None
