"""The statements a turn is saved with, compiled once per database: a turn runs text with tuples, nothing is built per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from orchestrator.store import schema
from orchestrator.store.rows import Row
from orchestrator.store.schema import written

Run: TypeAlias = tuple[str, list[Row]]  # a statement and the rows to run it with
_INSERTS: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Statements:
    """SQL text by table for one dialect; parameters are tuples in the order of `schema.written`."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._insert = _INSERTS[dialect.name]
        self.epoch = self._text(sa.select(schema.owner.c.epoch).with_for_update(read=True), ())
        self.executions = self._replace(schema.executions, once_after=schema.executions.c.version)
        self.replace = {t.name: self._replace(t) for t in _REPLACED}
        self.add = {t.name: self._add(t) for t in _ADDED}
        self.forget = {name: self._forget(table, by) for name, (table, by) in _FORGOTTEN.items()}

    def _text(self, statement: Any, columns: Sequence[str]) -> str:
        compiled = statement.compile(dialect=self._dialect, column_keys=columns or None)
        if tuple(compiled.positiontup or ()) != tuple(columns):
            raise AssertionError(f"parameters of `{compiled}` are not in order")
        return str(compiled)

    def _replace(self, table: sa.Table, *, once_after: sa.Column[int] | None = None) -> str:
        """Insert, or replace the row with the same key; with `once_after`, only a row whose number there is one less."""
        insert = self._insert(table)
        key = [c.name for c in table.primary_key]
        rest = {name: insert.excluded[name] for name in written(table) if name not in key}
        guard = None if once_after is None else once_after == insert.excluded[once_after.name] - sa.literal_column("1")
        return self._text(insert.on_conflict_do_update(index_elements=key, set_=rest, where=guard), written(table))

    def _add(self, table: sa.Table) -> str:
        """Insert, or leave the stored row that it clashes with."""
        return self._text(self._insert(table).on_conflict_do_nothing().inline(), written(table))

    def _forget(self, table: sa.Table, by: Sequence[str]) -> str:
        return self._text(table.delete().where(*(table.c[name] == sa.bindparam(name) for name in by)), by)


_REPLACED = (schema.flows, schema.task_runs, schema.keys, schema.files, schema.triggers, schema.settings)
_ADDED = (schema.flow_labels, schema.execution_labels, schema.logs, schema.metrics, schema.commands)
_FORGOTTEN: dict[str, tuple[sa.Table, tuple[str, ...]]] = {
    "answered": (schema.commands, ("id",)),
    "keys": (schema.keys, ("namespace", "key")),
    "files": (schema.files, ("kind", "owner", "path")),
    "triggers": (schema.triggers, ("namespace", "flow_id", "trigger_id")),
    "executions": (schema.executions, ("id",)),  # labels and task runs go with it: foreign keys cascade
    "task_runs": (schema.task_runs, ("id",)),
    "commands": (schema.commands, ("execution_id",)),
    "metrics": (schema.metrics, ("execution_id",)),
    "settings": (schema.settings, ("name",)),
    "execution_labels": (schema.execution_labels, ("execution_id",)),
    "flow_labels": (schema.flow_labels, ("namespace", "id", "revision")),
}
