"""One turn's changes as statements and rows, in the order they are run."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from orchestrator.model.execution import Execution
from orchestrator.store import rows
from orchestrator.store.port import Changes
from orchestrator.store.rows import Row
from orchestrator.store.statements import Run, Statements

REMEMBERED = 20_000  # executions whose stored labels are known


class LabelMemory:
    """Which labels are stored for the latest executions, so that a save that changes none of them writes none.

    Sound because there is one writer: it is forgotten with the ownership, and learns only after a commit.
    """

    def __init__(self) -> None:
        self._stored: OrderedDict[str, list[Row]] = OrderedDict()

    def changed(self, executions: Sequence[Execution], gone: Sequence[str]) -> list[tuple[str, list[Row]]]:
        """The executions whose label rows are not known to be stored, with those rows. What is `gone` takes its labels along."""
        found = ((e.id, rows.execution_label_rows(e)) for e in executions)
        return [(id, labels) for id, labels in found if id in gone or self._stored.get(id) != labels]

    def learn(self, stored: Sequence[tuple[str, list[Row]]], gone: Sequence[str]) -> None:
        for id in gone:
            self._stored.pop(id, None)
        for id, labels in stored:
            self._stored[id] = labels
            self._stored.move_to_end(id)
        while len(self._stored) > REMEMBERED:
            self._stored.popitem(last=False)


def forgetting(sql: Statements, changes: Changes) -> Iterator[Run]:
    """What a turn takes away, but for the log lines (those have their own conditions)."""
    gone = [(id,) for id in changes.executions_gone]
    yield sql.forget["answered"], [(id,) for id in changes.answered]
    yield sql.forget["commands"], list(gone)
    yield sql.forget["executions"], list(gone)
    yield sql.forget["task_runs"], [(id,) for id in changes.task_runs_gone]
    yield sql.forget["metrics"], [(id,) for id in changes.metrics_gone]
    yield sql.forget["keys"], list(changes.keys_gone)
    yield sql.forget["files"], list(changes.files_gone)
    yield sql.forget["triggers"], list(changes.triggers_gone)
    yield sql.forget["settings"], [(name,) for name, value in changes.settings.items() if value is None]


def storing(sql: Statements, changes: Changes, labels: Sequence[tuple[str, list[Row]]]) -> Iterator[Run]:
    """What a turn adds or replaces, but for the executions themselves (those are counted), which come before."""
    yield sql.forget["execution_labels"], [(id,) for id, _ in labels]
    yield sql.add["execution_labels"], [row for _, found in labels for row in found]
    yield sql.replace["task_runs"], [rows.task_run_row(r) for r in changes.task_runs]
    yield sql.add["commands"], [rows.command_row(c) for c in changes.commands]
    yield sql.add["logs"], [rows.log_row(line) for line in changes.logs]
    yield sql.add["metrics"], [rows.metric_row(m) for m in rows.storable_metrics(changes.metrics)]
    yield sql.replace["keys"], [rows.key_row(k) for k in changes.keys]
    yield sql.replace["files"], [rows.file_row(f) for f in changes.files]
    yield sql.replace["triggers"], [rows.trigger_row(t) for t in changes.triggers]
    yield sql.replace["settings"], [(n, rows.json_text(v)) for n, v in changes.settings.items() if v is not None]
    yield sql.replace["flows"], [rows.flow_row(f) for f in changes.flows]
    yield sql.forget["flow_labels"], [(f.flow.namespace, f.flow.id, f.flow.revision) for f in changes.flows]
    yield sql.add["flow_labels"], [row for f in changes.flows for row in rows.flow_label_rows(f)]
