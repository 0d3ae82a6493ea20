"""Flows in memory: each revision read once, each task that the server itself acts on built once, each template looked through once."""

from __future__ import annotations

from collections import OrderedDict

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.errors import TaskFailed
from orchestrator.lang.expressions import references_of
from orchestrator.model.flow import Flow, TaskSpec
from orchestrator.sdk.calling import Caller
from orchestrator.sdk.task import AnyTask, Flowable
from orchestrator.store.port import SavedFlow, StateStore

MOST_FLOWS = 1000
MOST_SPECS = 20_000


class FlowCache:
    """Keyed by identity of the spec: specs live as long as the cached flow (or flowable) that holds them."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._saved: OrderedDict[tuple[str, str, int], SavedFlow] = OrderedDict()
        self._latest: dict[tuple[str, str], int | None] = {}
        self._built: OrderedDict[int, tuple[TaskSpec, Flowable | Caller | None]] = OrderedDict()
        self._references: OrderedDict[int, tuple[TaskSpec, frozenset[tuple[str, ...]]]] = OrderedDict()

    def saved(self, namespace: str, flow_id: str, revision: int | None = None) -> SavedFlow | None:
        """A flow at a revision (None: the newest, unless deleted)."""
        if revision is None:
            revision = self._latest_revision(namespace, flow_id)
            if revision is None:
                return None
        key = (namespace, flow_id, revision)
        if key not in self._saved:
            found = self._store.flow(namespace, flow_id, revision, deleted=True)
            if found is None:
                return None
            self._saved[key] = found
            if len(self._saved) > MOST_FLOWS:
                self._saved.popitem(last=False)
        self._saved.move_to_end(key)
        return self._saved[key]

    def _latest_revision(self, namespace: str, flow_id: str) -> int | None:
        if (namespace, flow_id) not in self._latest:
            found = self._store.flow(namespace, flow_id)
            self._latest[(namespace, flow_id)] = found.flow.revision if found is not None else None
        return self._latest[(namespace, flow_id)]

    def changed(self, namespace: str, flow_id: str) -> None:
        """A new revision was saved, or it was deleted: ask the store next time."""
        self._latest.pop((namespace, flow_id), None)

    def latest(self, namespace: str, flow_id: str) -> Flow | None:
        found = self.saved(namespace, flow_id)
        return found.flow if found is not None else None

    def resolve(self, spec: TaskSpec) -> Flowable | None:
        """The flowable behind a spec, or None for a task that runs. Raises TaskFailed when its type or properties are bad."""
        built = self._of(spec)
        return built if isinstance(built, Flowable) else None

    def caller(self, spec: TaskSpec) -> Caller | None:
        """The task behind a spec that starts executions, or None for any other. Raises TaskFailed as `resolve` does."""
        built = self._of(spec)
        return built if isinstance(built, Caller) else None

    def _of(self, spec: TaskSpec) -> Flowable | Caller | None:
        known = self._built.get(id(spec))
        if known is None:
            known = self._built[id(spec)] = (spec, _built(spec))
            if len(self._built) > MOST_SPECS:
                self._built.popitem(last=False)
        return known[1]

    def references(self, spec: TaskSpec) -> frozenset[tuple[str, ...]]:
        """The names that a task's templates refer to."""
        known = self._references.get(id(spec))
        if known is None:
            known = self._references[id(spec)] = (spec, frozenset(references_of(spec.raw)))
            if len(self._references) > MOST_SPECS:
                self._references.popitem(last=False)
        return known[1]


def flowable_of(spec: TaskSpec) -> Flowable | None:
    """The flowable behind a spec, None for a task that runs, built anew. Raises TaskFailed when its properties are bad."""
    built = _built(spec)
    return built if isinstance(built, Flowable) else None


def starts_executions(spec: TaskSpec) -> bool:
    """Whether the server itself does a task: it starts executions. Raises TaskFailed when its properties are bad."""
    return isinstance(_built(spec), Caller)


def _built(spec: TaskSpec) -> Flowable | Caller | None:
    kind: type[AnyTask] = registry.load("task", spec.type)
    if not issubclass(kind, Flowable | Caller):
        return None
    try:
        return kind.model_validate(dict(spec.raw))
    except ValidationError as err:
        raise TaskFailed(f"task `{spec.id}`: {err.errors()[0]['msg']}") from err
