"""Small values that the store's tests are written with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.flow import Flow
from orchestrator.model.log import Level, LogLine, Metric
from orchestrator.model.state import NEXT, Lifecycle, State
from orchestrator.model.trigger import TriggerState
from orchestrator.store.port import Changes, Command, Condition, KeyValue, SavedFlow, StateStore, StoredFile

NOON = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def life(*states: State, start: float = 0, step: float = 1) -> Lifecycle:
    """A history that begins with CREATED and enters each state a step later, RUNNING first where it must."""
    history = Lifecycle.begin(after(start))
    for number, state in enumerate(states, 1):
        if state not in NEXT[history.current]:
            history = history.to(State.RUNNING, after(start + step * number))
        history = history.to(state, after(start + step * number))
    return history


def an_execution(id: str = "e1", *states: State, start: float = 0, **changed: Any) -> Execution:
    facts: dict[str, Any] = {"namespace": "company.team", "flow_id": "hello", "flow_revision": 1, "original_id": id, "version": 1}
    return Execution(id=id, state=life(*states, start=start), **(facts | changed))


def a_run(id: str = "t1", execution_id: str = "e1", *states: State, **changed: Any) -> TaskRun:
    facts: dict[str, Any] = {"namespace": "company.team", "flow_id": "hello", "task_id": "work", "state": life(*states)}
    return TaskRun(id=id, execution_id=execution_id, **(facts | changed))


def a_line(message: str = "hello", **changed: Any) -> LogLine:
    facts: dict[str, Any] = {"namespace": "company.team", "flow_id": "hello", "execution_id": "e1", "timestamp": NOON, "level": Level.INFO}
    return LogLine(message=message, **(facts | changed))


def a_metric(name: str = "rows", value: float = 1.5, **changed: Any) -> Metric:
    facts: dict[str, Any] = {"namespace": "company.team", "flow_id": "hello", "execution_id": "e1", "type": "counter", "timestamp": NOON}
    return Metric(name=name, value=value, **(facts | changed))


def a_flow(id: str = "hello", namespace: str = "company.team", revision: int = 1, **changed: Any) -> SavedFlow:
    tasks = [{"id": "work", "type": "io.kestra.plugin.core.log.Log", "message": "{{ inputs.x }}", "nothing": None}]
    flow = Flow.model_validate({"id": id, "namespace": namespace, "revision": revision, "tasks": tasks, **changed})
    return SavedFlow(flow=flow, source=f"id: {id}\n", updated=after(revision))


def a_command(id: str = "run:t1:1", execution_id: str = "e1", **changed: Any) -> Command:
    facts: dict[str, Any] = {"kind": "run", "target": "worker-1", "created": NOON, "body": {"a": [1, None, "x"]}}
    return Command(id=id, execution_id=execution_id, **(facts | changed))


def a_key(key: str = "k", namespace: str = "company.team", **changed: Any) -> KeyValue:
    return KeyValue(namespace=namespace, key=key, **({"value": {"n": 1}, "created": NOON, "updated": NOON} | changed))


def a_file(path: str, owner: str = "company.team", kind: str = "namespace", **changed: Any) -> StoredFile:
    facts: dict[str, Any] = {"size": 3, "blob": f"b{path}", "created": NOON, "modified": NOON}
    return StoredFile(kind=kind, owner=owner, path=path, **(facts | changed))


def a_trigger(trigger_id: str = "daily", flow_id: str = "hello", namespace: str = "company.team", **changed: Any) -> TriggerState:
    return TriggerState(namespace=namespace, flow_id=flow_id, trigger_id=trigger_id, **changed)


def ids(store: StateStore, *conditions: Condition) -> list[str]:
    """The ids of the executions that meet the conditions, sorted."""
    return sorted(e.id for e in store.executions(conditions).rows)


def saved(store: StateStore, **changes: Any) -> StateStore:
    """The store, with these changes committed."""
    store.commit(Changes(**changes))
    return store
