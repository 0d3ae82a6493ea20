"""Brings a database to the schema this code knows, or says why it cannot be used as it is."""

from __future__ import annotations

import base64
import os
import secrets
import sqlite3
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

from orchestrator.errors import StoreUnavailable
from orchestrator.store import schema
from orchestrator.store.port import Installation

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "schema_revision"
_ONE_AT_A_TIME = 7_310_588_011  # a PostgreSQL advisory lock: any number that is always the same


def known_revisions() -> list[str]:
    """The revisions this code knows, oldest first: the leading words of the files in `migrations/versions`."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def stored_revision(connection: sa.Connection, where: str) -> str | None:
    """The revision a database is at, None when it is empty. Raises StoreUnavailable when its tables are not ours."""
    tables = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        return connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()  # noqa: S608 - a constant
    foreign = tables if connection.dialect.name == "sqlite" else tables & set(schema.META.tables)
    if foreign:
        raise StoreUnavailable(f"The database {where} holds tables of something else ({', '.join(sorted(foreign)[:5])}); name another one.")
    return None


def must_upgrade(stored: str | None, where: str, *, may: bool) -> bool:
    """Whether steps are missing. Raises StoreUnavailable for a schema newer than this code, or steps missing that it may not do."""
    known = known_revisions()
    if stored == known[-1]:
        return False
    if stored is not None and stored not in known:
        newer = f"was written by a newer version (schema {stored}, this version knows up to {known[-1]})"
        raise StoreUnavailable(f"The database {where} {newer}; install that version, or restore an older backup.")
    if not may:
        state = "has no tables yet" if stored is None else f"still has the older schema {stored}"
        raise StoreUnavailable(f"The database {where} {state}; start the server on it once, which brings it up to date.")
    return True


def upgrade(writer: sa.Engine, where: str, file: Path | None) -> None:
    """Run the missing steps in one transaction: all or none. An existing SQLite file is copied beside itself first.

    Two processes at once are harmless: the second waits and finds nothing to do.
    """
    with writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_AT_A_TIME)))
        stored = stored_revision(connection, where)
        if not must_upgrade(stored, where, may=True):
            return
        if file is not None and stored is not None:
            copy_beside(file, stored)  # nobody writes meanwhile: the transaction has the write lock
        _run_steps(connection)
        _found(connection)


def _run_steps(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config  # slow to import, and seldom needed

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _found(connection: sa.Connection) -> None:
    """Give a new installation its id, its keys and its owner row, none of which ever comes twice."""
    if connection.scalar(sa.select(sa.func.count()).select_from(schema.installation)):
        return
    drawn = Installation(id=str(uuid4()), secrets={"tokens": base64.b64encode(secrets.token_bytes(32)).decode()})
    connection.execute(schema.installation.insert().values(one=1, doc=drawn.model_dump_json()))
    connection.execute(schema.owner.insert().values(one=1, epoch=0, name="", since=0))


def copy_beside(file: Path, revision: str) -> Path:
    """A consistent copy of a SQLite file, readable by its owner only, as `<file>.bak-<revision>`. Whole or absent."""
    target = file.with_name(f"{file.name}.bak-{revision}")
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
    source, copy = sqlite3.connect(file), sqlite3.connect(partial)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    partial.replace(target)
    return target
