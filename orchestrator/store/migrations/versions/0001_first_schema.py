"""The first schema.

Revision: 0001. Written out rather than taken from `schema`, which moves on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "commands",
        sa.Column("number", SERIAL, nullable=False),
        sa.Column("id", WORD, nullable=False),
        sa.Column("execution_id", WORD, nullable=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("commands_by_execution", "commands", ["execution_id"], unique=False)
    op.create_table(
        "executions",
        sa.Column("id", WORD, nullable=False),
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("flow_id", WORD, nullable=False),
        sa.Column("flow_revision", sa.Integer(), nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("start_date", sa.BigInteger(), nullable=False),
        sa.Column("end_date", sa.BigInteger(), nullable=True),
        sa.Column("duration", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", WORD, nullable=True),
        sa.Column("original_id", WORD, nullable=True),
        sa.Column("trigger_id", WORD, nullable=True),
        sa.Column("trigger_execution_id", WORD, nullable=True),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(end_date IS NOT NULL) = (state IN ('CANCELLED', 'FAILED', 'KILLED', 'PAUSED', 'RETRIED', 'SKIPPED', 'SUCCESS', 'WARNING'))",
            name="executions_end_by_state",
        ),
        sa.CheckConstraint("end_date IS NULL OR end_date >= start_date", name="executions_end_after_start"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("executions_by_flow", "executions", ["namespace", "flow_id", "start_date"], unique=False)
    op.create_index("executions_by_start", "executions", ["start_date"], unique=False)
    op.create_index("executions_by_state", "executions", ["state", "start_date"], unique=False)
    op.create_index("executions_by_trigger_execution", "executions", ["trigger_execution_id"], unique=False)
    op.create_table(
        "files",
        sa.Column("kind", WORD, nullable=False),
        sa.Column("owner", WORD, nullable=False),
        sa.Column("path", WORD, nullable=False),
        sa.Column("blob", WORD, nullable=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "owner", "path"),
    )
    op.create_index("files_by_blob", "files", ["blob"], unique=False)
    op.create_table(
        "flows",
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("id", WORD, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "id", "revision"),
    )
    op.create_table(
        "installation",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.CheckConstraint("one = 1", name="installation_is_one"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table(
        "keys",
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "key"),
    )
    op.create_table(
        "logs",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("flow_id", WORD, nullable=False),
        sa.Column("execution_id", WORD, nullable=True),
        sa.Column("task_id", WORD, nullable=True),
        sa.Column("task_run_id", WORD, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("trigger_id", WORD, nullable=True),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("logs_by_execution", "logs", ["execution_id", "id"], unique=False)
    op.create_index("logs_by_time", "logs", ["timestamp"], unique=False)
    op.create_index(
        "logs_once",
        "logs",
        ["task_run_id", "offset"],
        unique=True,
        sqlite_where=sa.text('task_run_id IS NOT NULL AND "offset" IS NOT NULL'),
        postgresql_where=sa.text('task_run_id IS NOT NULL AND "offset" IS NOT NULL'),
    )
    op.create_table(
        "metrics",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("flow_id", WORD, nullable=False),
        sa.Column("execution_id", WORD, nullable=True),
        sa.Column("task_id", WORD, nullable=True),
        sa.Column("task_run_id", WORD, nullable=True),
        sa.Column("type", WORD, nullable=False),
        sa.Column("name", WORD, nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("metrics_by_execution", "metrics", ["execution_id", "id"], unique=False)
    op.create_index("metrics_by_flow", "metrics", ["namespace", "flow_id", "name", "timestamp"], unique=False)
    op.create_table(
        "owner",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("one = 1", name="owner_is_one"),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_table("settings", sa.Column("name", WORD, nullable=False), sa.Column("doc", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "triggers",
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("flow_id", WORD, nullable=False),
        sa.Column("trigger_id", WORD, nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("worker_id", WORD, nullable=True),
        sa.Column("execution_id", WORD, nullable=True),
        sa.Column("next_execution_date", sa.BigInteger(), nullable=True),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "flow_id", "trigger_id"),
    )
    op.create_table(
        "execution_labels",
        sa.Column("execution_id", WORD, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("value", WORD, nullable=False),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("execution_id", "key", "value"),
    )
    op.create_index("execution_labels_by_key", "execution_labels", ["key", "value", "execution_id"], unique=False)
    op.create_table(
        "flow_labels",
        sa.Column("namespace", WORD, nullable=False),
        sa.Column("id", WORD, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", WORD, nullable=False),
        sa.Column("value", WORD, nullable=False),
        sa.ForeignKeyConstraint(["namespace", "id", "revision"], ["flows.namespace", "flows.id", "flows.revision"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("namespace", "id", "revision", "key", "value"),
    )
    op.create_table(
        "task_runs",
        sa.Column("id", WORD, nullable=False),
        sa.Column("execution_id", WORD, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("task_id", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("start_date", sa.BigInteger(), nullable=False),
        sa.Column("end_date", sa.BigInteger(), nullable=True),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("cause", WORD, nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("worker_group", WORD, nullable=True),
        sa.Column("worker", WORD, nullable=True),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(end_date IS NOT NULL) = (state IN ('CANCELLED', 'FAILED', 'KILLED', 'PAUSED', 'RETRIED', 'SKIPPED', 'SUCCESS', 'WARNING'))",
            name="task_runs_end_by_state",
        ),
        sa.CheckConstraint("end_date IS NULL OR end_date >= start_date", name="task_runs_end_after_start"),
        sa.ForeignKeyConstraint(["execution_id"], ["executions.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("task_runs_by_execution", "task_runs", ["execution_id", "seq"], unique=False)
