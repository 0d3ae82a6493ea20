"""The tables, as SQLAlchemy Core sees them; `migrations/` makes them, and a test holds the two equal.

Instants are whole microseconds since 1970 in UTC (`BIGINT`), durations whole microseconds: they sort and compare the
same way in every database. Text is compared by code point in every database (collation `C` on PostgreSQL). A `doc`
is the value's whole JSON; the columns beside it are what is searched, sorted or guarded.
"""

from __future__ import annotations

import sqlalchemy as sa

from orchestrator.model.state import ENDED, State

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts only INTEGER keys up by itself
META = sa.MetaData()

STILL = sorted(ENDED | {State.PAUSED})  # the states that have an end date: see Lifecycle.end
_STILL = ", ".join(f"'{state}'" for state in STILL)
_END_RULE = f"(end_date IS NOT NULL) = (state IN ({_STILL}))"
_ORDER_RULE = "end_date IS NULL OR end_date >= start_date"

installation = sa.Table(
    "installation",
    META,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("doc", sa.Text, nullable=False),
    sa.CheckConstraint("one = 1", name="installation_is_one"),
)

owner = sa.Table(
    "owner",
    META,
    sa.Column("one", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
    sa.CheckConstraint("one = 1", name="owner_is_one"),
)

flows = sa.Table(
    "flows",
    META,
    sa.Column("namespace", WORD, primary_key=True),
    sa.Column("id", WORD, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("updated", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("doc", sa.Text, nullable=False),
)

flow_labels = sa.Table(
    "flow_labels",
    META,
    sa.Column("namespace", WORD, primary_key=True),
    sa.Column("id", WORD, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", WORD, primary_key=True),
    sa.Column("value", WORD, primary_key=True),
    sa.ForeignKeyConstraint(["namespace", "id", "revision"], ["flows.namespace", "flows.id", "flows.revision"], ondelete="CASCADE"),
)

executions = sa.Table(
    "executions",
    META,
    sa.Column("id", WORD, primary_key=True),
    sa.Column("namespace", WORD, nullable=False),
    sa.Column("flow_id", WORD, nullable=False),
    sa.Column("flow_revision", sa.Integer, nullable=False),
    sa.Column("state", WORD, nullable=False),
    sa.Column("start_date", sa.BigInteger, nullable=False),
    sa.Column("end_date", sa.BigInteger),
    sa.Column("duration", sa.BigInteger, nullable=False),
    sa.Column("parent_id", WORD),
    sa.Column("original_id", WORD),
    sa.Column("trigger_id", WORD),
    sa.Column("trigger_execution_id", WORD),
    sa.Column("kind", WORD, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("doc", sa.Text, nullable=False),
    sa.CheckConstraint(_END_RULE, name="executions_end_by_state"),
    sa.CheckConstraint(_ORDER_RULE, name="executions_end_after_start"),
    sa.Index("executions_by_start", "start_date"),
    sa.Index("executions_by_state", "state", "start_date"),
    sa.Index("executions_by_flow", "namespace", "flow_id", "start_date"),
    sa.Index("executions_by_trigger_execution", "trigger_execution_id"),
)

execution_labels = sa.Table(
    "execution_labels",
    META,
    sa.Column("execution_id", WORD, sa.ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", WORD, primary_key=True),
    sa.Column("value", WORD, primary_key=True),
    sa.Index("execution_labels_by_key", "key", "value", "execution_id"),
)

task_runs = sa.Table(
    "task_runs",
    META,
    sa.Column("id", WORD, primary_key=True),
    sa.Column("execution_id", WORD, sa.ForeignKey("executions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("task_id", WORD, nullable=False),
    sa.Column("state", WORD, nullable=False),
    sa.Column("start_date", sa.BigInteger, nullable=False),
    sa.Column("end_date", sa.BigInteger),
    sa.Column("due", sa.BigInteger),
    sa.Column("lease", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("cause", WORD),
    sa.Column("cost", sa.Float),
    sa.Column("worker_group", WORD),
    sa.Column("worker", WORD),
    sa.Column("job", sa.Text),
    sa.Column("doc", sa.Text, nullable=False),
    sa.CheckConstraint(_END_RULE, name="task_runs_end_by_state"),
    sa.CheckConstraint(_ORDER_RULE, name="task_runs_end_after_start"),
    sa.Index("task_runs_by_execution", "execution_id", "seq"),
)

logs = sa.Table(
    "logs",
    META,
    sa.Column("id", SERIAL, primary_key=True),
    sa.Column("namespace", WORD, nullable=False),
    sa.Column("flow_id", WORD, nullable=False),
    sa.Column("execution_id", WORD),
    sa.Column("task_id", WORD),
    sa.Column("task_run_id", WORD),
    sa.Column("attempt", sa.Integer),
    sa.Column("trigger_id", WORD),
    sa.Column("timestamp", sa.BigInteger, nullable=False),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("thread", sa.Text),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("offset", sa.BigInteger),
    sa.Index("logs_by_execution", "execution_id", "id"),
    sa.Index("logs_by_time", "timestamp"),
    sa.Index(
        "logs_once",
        "task_run_id",
        "offset",
        unique=True,
        sqlite_where=sa.text('task_run_id IS NOT NULL AND "offset" IS NOT NULL'),
        postgresql_where=sa.text('task_run_id IS NOT NULL AND "offset" IS NOT NULL'),
    ),
    sqlite_autoincrement=True,  # a number is never given again, also after a delete: followers remember the last one
)

metrics = sa.Table(
    "metrics",
    META,
    sa.Column("id", SERIAL, primary_key=True),
    sa.Column("namespace", WORD, nullable=False),
    sa.Column("flow_id", WORD, nullable=False),
    sa.Column("execution_id", WORD),
    sa.Column("task_id", WORD),
    sa.Column("task_run_id", WORD),
    sa.Column("type", WORD, nullable=False),
    sa.Column("name", WORD, nullable=False),
    sa.Column("value", sa.Float, nullable=False),
    sa.Column("timestamp", sa.BigInteger, nullable=False),
    sa.Column("doc", sa.Text, nullable=False),
    sa.Index("metrics_by_execution", "execution_id", "id"),
    sa.Index("metrics_by_flow", "namespace", "flow_id", "name", "timestamp"),
    sqlite_autoincrement=True,
)

commands = sa.Table(
    "commands",
    META,
    sa.Column("number", SERIAL, primary_key=True),
    sa.Column("id", WORD, nullable=False, unique=True),
    sa.Column("execution_id", WORD, nullable=False),
    sa.Column("doc", sa.Text, nullable=False),
    sa.Index("commands_by_execution", "execution_id"),
)

keys = sa.Table(
    "keys",
    META,
    sa.Column("namespace", WORD, primary_key=True),
    sa.Column("key", WORD, primary_key=True),
    sa.Column("expires", sa.BigInteger),
    sa.Column("doc", sa.Text, nullable=False),
)

files = sa.Table(
    "files",
    META,
    sa.Column("kind", WORD, primary_key=True),
    sa.Column("owner", WORD, primary_key=True),
    sa.Column("path", WORD, primary_key=True),
    sa.Column("blob", WORD, nullable=False),
    sa.Column("doc", sa.Text, nullable=False),
    sa.Index("files_by_blob", "blob"),
)

triggers = sa.Table(
    "triggers",
    META,
    sa.Column("namespace", WORD, primary_key=True),
    sa.Column("flow_id", WORD, primary_key=True),
    sa.Column("trigger_id", WORD, primary_key=True),
    sa.Column("disabled", sa.Boolean, nullable=False),
    sa.Column("worker_id", WORD),
    sa.Column("execution_id", WORD),
    sa.Column("next_execution_date", sa.BigInteger),
    sa.Column("doc", sa.Text, nullable=False),
)

settings = sa.Table(
    "settings",
    META,
    sa.Column("name", WORD, primary_key=True),
    sa.Column("doc", sa.Text, nullable=False),
)


def written(table: sa.Table) -> tuple[str, ...]:
    """The columns that a row of this table brings, in order: all but a number the database counts up itself."""
    return tuple(c.name for c in table.columns if not (c.primary_key and c.type is SERIAL))
