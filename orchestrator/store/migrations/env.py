"""Run by Alembic inside the one transaction that `upgrading` has begun."""

from __future__ import annotations

from alembic import context

from orchestrator.store.schema import META
from orchestrator.store.upgrading import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=META,
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the transaction is the caller's: all steps or none
    render_as_batch=True,
)
context.run_migrations()
