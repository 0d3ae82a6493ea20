"""The store in memory: the small real peer for tests and `run --inline`. Gone with its process."""

from __future__ import annotations

import base64
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from threading import RLock
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

from orchestrator.errors import Fenced, StoreUnavailable
from orchestrator.model.execution import Execution, TaskRun
from orchestrator.model.log import LogLine, Metric
from orchestrator.model.trigger import TriggerState
from orchestrator.model.values import Json
from orchestrator.store import rows, schema
from orchestrator.store.fields import EXECUTIONS, FLOWS, LOGS, TRIGGERS, Searchable
from orchestrator.store.filters import bounds_of, clause_of, order_of
from orchestrator.store.matching import Candidate, holds, sorting_key
from orchestrator.store.port import Changes, Command, Condition, Found, Installation, KeyValue, LogFilter, Page, SavedFlow, StoredFile

T = TypeVar("T")
Columns: TypeAlias = dict[str, Any]

_COLUMNS = {name: schema.written(table) for name, table in schema.META.tables.items()}


def _columns(table: str, row: rows.Row) -> Columns:
    return dict(zip(_COLUMNS[table], row, strict=True))


class MemoryStore:
    """StateStore over dictionaries of the very rows that the database keeps. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._installation = Installation(id=str(uuid4()), secrets={"tokens": base64.b64encode(secrets.token_bytes(32)).decode()})
        self._epoch = 0
        self._owned: int | None = None
        self._tables: dict[str, dict[Any, Any]] = defaultdict(dict)
        self._runs_of: dict[str, dict[str, Columns]] = defaultdict(dict)
        self._lines: dict[int, tuple[Columns, LogLine]] = {}
        self._taken: set[tuple[str, int]] = set()
        self._metrics: list[Metric] = []
        self._numbered = 0

    # the executor's side

    def take_ownership(self, owner: str, now: datetime) -> int:
        with self._lock:
            self._epoch += 1
            self._owned = self._epoch
            return self._epoch

    def commit(self, changes: Changes) -> None:
        with self._lock:
            if self._owned is None or self._owned != self._epoch:
                raise Fenced("The store in memory belongs to another executor; this one must end.")
            saved = self._checked(changes)
            self._forget(changes)
            self._executions(saved)
            self._store(changes)
            self._say(changes)

    def close(self) -> None: ...

    def _checked(self, changes: Changes) -> list[tuple[Execution, Columns]]:
        """The new rows of executions, made before anything is changed. Raises Fenced and StoreUnavailable."""
        coming: dict[str, int | None] = dict.fromkeys(changes.executions_gone)
        for execution in changes.executions:
            before = self._version(execution.id, coming)
            if before is not None and before != execution.version - 1:
                raise Fenced(f"The version of execution {execution.id} does not follow the stored one; this executor must end.")
            coming[execution.id] = execution.version
        for run in changes.task_runs:
            if self._version(run.execution_id, coming) is None:
                raise StoreUnavailable(f"The task run {run.id} belongs to the execution {run.execution_id}, which is not stored.")
        return [(e, _columns("executions", rows.execution_row(e))) for e in changes.executions]

    def _version(self, id: str, coming: Mapping[str, int | None]) -> int | None:
        if id in coming:
            return coming[id]
        found = self._tables["executions"].get(id)
        return found[0]["version"] if found else None

    def _forget(self, changes: Changes) -> None:
        for id in changes.answered:
            self._tables["commands"].pop(id, None)
        for id in changes.executions_gone:
            self._forget_execution(id)
        for id in changes.task_runs_gone:
            self._forget_run(id)
        self._metrics = [m for m in self._metrics if m.execution_id not in set(changes.metrics_gone)] if changes.metrics_gone else self._metrics
        for table, gone in (("keys", changes.keys_gone), ("files", changes.files_gone), ("triggers", changes.triggers_gone)):
            for key in gone:
                self._tables[table].pop(tuple(key), None)
        for which in changes.logs_gone:
            self._forget_lines(which)

    def _forget_execution(self, id: str) -> None:
        self._tables["executions"].pop(id, None)
        for run in self._runs_of.pop(id, {}):
            self._tables["task_runs"].pop(run, None)
        for command in [c for c in self._tables["commands"].values() if c.execution_id == id]:
            del self._tables["commands"][command.id]

    def _forget_run(self, id: str) -> None:
        row = self._tables["task_runs"].pop(id, None)
        if row is not None:
            self._runs_of[row["execution_id"]].pop(id, None)

    def _forget_lines(self, which: LogFilter) -> None:
        for number in [n for n, (row, _) in self._lines.items() if _meant(which, n, row)]:
            row, _ = self._lines.pop(number)
            self._taken.discard((row["task_run_id"], row["offset"]))

    def _executions(self, saved: Iterable[tuple[Execution, Columns]]) -> None:
        for execution, row in saved:
            self._tables["executions"][execution.id] = (row, execution.labels)

    def _store(self, changes: Changes) -> None:
        for run in changes.task_runs:
            row = _columns("task_runs", rows.task_run_row(run))
            self._tables["task_runs"][run.id] = row
            self._runs_of[run.execution_id][run.id] = row
        for saved in changes.flows:
            self._tables["flows"].setdefault(saved.flow.key, {})[saved.flow.revision] = rows.flow_row(saved)
        for entry in changes.keys:
            self._tables["keys"][entry.namespace, entry.key] = rows.document(entry)
        for file in changes.files:
            self._tables["files"][file.kind, file.owner, file.path] = rows.document(file)
        for trigger in changes.triggers:
            self._tables["triggers"][trigger.namespace, trigger.flow_id, trigger.trigger_id] = _columns("triggers", rows.trigger_row(trigger))
        for name, value in changes.settings.items():
            self._tables["settings"].pop(name, None)
            if value is not None:
                self._tables["settings"][name] = rows.json_text(value)

    def _say(self, changes: Changes) -> None:
        for line in changes.logs:
            self._take(line)
        self._metrics += rows.storable_metrics(changes.metrics)
        for command in changes.commands:
            self._tables["commands"].setdefault(command.id, command)

    def _take(self, line: LogLine) -> None:
        if line.task_run_id is not None and line.offset is not None:
            if (line.task_run_id, line.offset) in self._taken:
                return
            self._taken.add((line.task_run_id, line.offset))
        self._numbered += 1
        row = rows.log_row(line)
        self._lines[self._numbered] = _columns("logs", row) | {"id": self._numbered}, rows.log_of(row)

    # the reading side: flows

    def installation(self) -> Installation:
        return self._installation

    def flow(self, namespace: str, flow_id: str, revision: int | None = None, *, deleted: bool = False) -> SavedFlow | None:
        with self._lock:
            revisions = self._tables["flows"].get((namespace, flow_id))
            newest = _flow(revisions[max(revisions)]) if revisions else None
            if newest is None or revisions is None or (newest.flow.deleted and not deleted):
                return None
            return newest if revision is None else _flow(revisions[revision]) if revision in revisions else None

    def revisions(self, namespace: str, flow_id: str) -> Sequence[SavedFlow]:
        with self._lock:
            return [_flow(row) for _, row in sorted(self._tables["flows"].get((namespace, flow_id), {}).items())]

    def flows(self, conditions: Sequence[Condition] = (), page: Page | None = None) -> Found[SavedFlow]:
        with self._lock:
            newest = [revisions[max(revisions)] for revisions in self._tables["flows"].values()]
        alive = [(Candidate(_columns("flows", row), saved.flow.labels), saved) for row in newest if not (saved := _flow(row)).flow.deleted]
        return _search(FLOWS, alive, conditions, page)

    def namespaces(self) -> Sequence[str]:
        return sorted({saved.flow.namespace for saved in self.flows().rows})

    # executions

    def execution(self, execution_id: str) -> Execution | None:
        with self._lock:
            found = self._tables["executions"].get(execution_id)
        return Execution.model_validate_json(found[0]["doc"]) if found else None

    def execution_json(self, execution_id: str) -> str | None:
        with self._lock:
            found = self._tables["executions"].get(execution_id)
            return rows.joined(found[0]["doc"], self._run_docs(execution_id)) if found else None

    def _run_docs(self, execution_id: str) -> list[str]:
        found = self._runs_of.get(execution_id, {}).values()
        return [row["doc"] for row in sorted(found, key=lambda row: (row["seq"], row["id"]))]

    def task_runs(self, execution_id: str) -> Sequence[TaskRun]:
        with self._lock:
            docs = self._run_docs(execution_id)
        return [TaskRun.model_validate_json(doc) for doc in docs]

    def task_run(self, task_run_id: str) -> TaskRun | None:
        with self._lock:
            found = self._tables["task_runs"].get(task_run_id)
        return TaskRun.model_validate_json(found["doc"]) if found else None

    def unfinished(self) -> Sequence[Execution]:
        with self._lock:
            found = sorted((row for row, _ in self._tables["executions"].values()), key=lambda row: (row["start_date"], row["id"]))
        going_on = [Execution.model_validate_json(row["doc"]) for row in found]
        return [e for e in going_on if not e.current.ended]

    def _found(self, conditions: Sequence[Condition], page: Page) -> Found[Columns]:
        candidates = [(Candidate(row, labels, tuple(self._runs_of.get(id, {}).values())), row) for id, (row, labels) in self._tables["executions"].items()]
        return _search(EXECUTIONS, candidates, conditions, page)

    def executions(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[Execution]:  # noqa: B008 - frozen
        with self._lock:
            found = self._found(conditions, page)
        return Found([Execution.model_validate_json(row["doc"]) for row in found.rows], found.total)

    def executions_json(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[str]:  # noqa: B008 - frozen
        with self._lock:
            found = self._found(conditions, page)
            return Found([rows.joined(row["doc"], self._run_docs(row["id"])) for row in found.rows], found.total)

    # what executions say

    def logs(self, which: LogFilter, *, after: int = 0, limit: int | None = None) -> Sequence[tuple[int, LogLine]]:
        with self._lock:
            return [(n, line) for n, (row, line) in self._lines.items() if n > after and _meant(which, n, row)][:limit]

    def search_logs(self, conditions: Sequence[Condition] = (), page: Page = Page()) -> Found[LogLine]:  # noqa: B008 - frozen
        with self._lock:
            return _search(LOGS, [(Candidate(row), line) for row, line in self._lines.values()], conditions, page)

    def metrics(self, execution_id: str, *, task_run_id: str | None = None, task_id: str | None = None, page: Page | None = None) -> Found[Metric]:
        with self._lock:
            found = [m for m in self._metrics if m.execution_id == execution_id]
        return _slice([m for m in found if task_run_id in {None, m.task_run_id} and task_id in {None, m.task_id}], page)

    def commands(self) -> Sequence[Command]:
        with self._lock:
            return list(self._tables["commands"].values())

    # namespaces' own

    def key(self, namespace: str, key: str) -> KeyValue | None:
        with self._lock:
            doc = self._tables["keys"].get((namespace, key))
        return KeyValue.model_validate_json(doc) if doc else None

    def keys(self, namespace: str | None = None) -> Sequence[KeyValue]:
        with self._lock:
            return [KeyValue.model_validate_json(doc) for key, doc in sorted(self._tables["keys"].items()) if namespace in {None, key[0]}]

    def file(self, kind: str, owner: str, path: str) -> StoredFile | None:
        with self._lock:
            doc = self._tables["files"].get((kind, owner, path))
        return StoredFile.model_validate_json(doc) if doc else None

    def files(self, kind: str, owner: str, under: str = "/") -> Sequence[StoredFile]:
        folder = under.rstrip("/") + "/"
        with self._lock:
            found = sorted(self._tables["files"].items())
        return [StoredFile.model_validate_json(doc) for (k, o, path), doc in found if (k, o) == (kind, owner) and path.startswith(folder) and path != folder]

    def _triggers(self) -> list[tuple[Candidate, TriggerState]]:
        with self._lock:
            found = sorted(self._tables["triggers"].items())
        return [(Candidate(row), TriggerState.model_validate_json(row["doc"])) for _, row in found]

    def triggers(self, namespace: str | None = None, flow_id: str | None = None) -> Sequence[TriggerState]:
        return [t for _, t in self._triggers() if namespace in {None, t.namespace} and flow_id in {None, t.flow_id}]

    def search_triggers(self, conditions: Sequence[Condition] = (), page: Page | None = None) -> Found[TriggerState]:
        return _search(TRIGGERS, self._triggers(), conditions, page)

    def setting(self, name: str) -> Json:
        with self._lock:
            doc = self._tables["settings"].get(name)
        return rows.json_value(doc) if doc else None

    def settings(self, prefix: str) -> Mapping[str, Json]:
        with self._lock:
            return {name: rows.json_value(doc) for name, doc in sorted(self._tables["settings"].items()) if name.startswith(prefix)}


def _flow(row: rows.Row) -> SavedFlow:
    updated, source, doc = row[5:]
    return rows.flow_of(doc, source, updated)


def _meant(which: LogFilter, number: int, row: Mapping[str, Any]) -> bool:
    """Whether a LogFilter means this line."""
    names = ("execution_id", "task_id", "task_run_id", "flow_id", "trigger_id")
    if any(getattr(which, name) and getattr(which, name) != row[name] for name in names) or not _within(which, number, row):
        return False
    return which.attempt in {None, row["attempt"]} and (which.min_level is None or row["level"] >= which.min_level.rank)


def _within(which: LogFilter, number: int, row: Mapping[str, Any]) -> bool:
    at, space = row["timestamp"], which.namespace
    return (
        (not space or row["namespace"] == space or (which.below and row["namespace"].startswith(space + ".")))
        and (not which.levels or row["level"] in {level.rank for level in which.levels})
        and (which.start is None or at >= (rows.micros(which.start) or 0))
        and (which.end is None or at <= (rows.micros(which.end) or 0))
        and which.of_executions in {None, row["execution_id"] is not None}
        and (which.up_to is None or number <= which.up_to)
    )


def _search(what: Searchable, candidates: Iterable[tuple[Candidate, T]], conditions: Sequence[Condition], page: Page | None) -> Found[T]:
    clause = clause_of(what, conditions, datetime.now(UTC))
    found = [pair for pair in candidates if holds(clause, pair[0])]
    for column, ascending in reversed(order_of(what, page.sort if page else ())):
        found.sort(key=lambda pair: sorting_key(pair[0].row[column]), reverse=not ascending)
    return _slice([value for _, value in found], page)


def _slice(found: Sequence[T], page: Page | None) -> Found[T]:
    if page is None:
        return Found(found, len(found))
    offset, size = bounds_of(page)
    return Found(found[offset : offset + size], len(found))
