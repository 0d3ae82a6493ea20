"""Opens a store by its URL: `sqlite:////abs/path/orchestrator.db`, `postgresql+psycopg://user@host/name`, `memory:`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from orchestrator.errors import BadSettings, StoreUnavailable
from orchestrator.store import sqlite
from orchestrator.store.database import DatabaseStore
from orchestrator.store.memory import MemoryStore
from orchestrator.store.port import StateStore
from orchestrator.store.trouble import telling
from orchestrator.store.upgrading import must_upgrade, stored_revision, upgrade

_ENDLESS = -1  # connections beyond the pool are made as needed: each serves one short read


def open_store(url: str, *, migrate: bool, read_only: bool = False) -> StateStore:
    """The store at `url`. With `migrate` it is made or brought up to date first, otherwise it must be both already.

    With `read_only` nothing can be written through it. Raises BadSettings for a URL of another kind, and
    StoreUnavailable with one message that names the database and the remedy when it cannot be used.
    """
    if url == "memory:":
        return MemoryStore()
    address = _address(url)
    return _open_sqlite(address, migrate, read_only) if address.get_backend_name() == "sqlite" else _open_postgres(address, migrate, read_only)


def _address(url: str) -> sa.URL:
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise BadSettings("The store's URL cannot be read; write sqlite:////absolute/path/orchestrator.db or postgresql+psycopg://user@host/name.") from None
    if address.drivername in {"postgresql", "postgres"}:
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername not in {"sqlite", "sqlite+pysqlite", "postgresql+psycopg"} or not address.database:
        shown = address.render_as_string(hide_password=True)
        raise BadSettings(f"`{shown}` is not a store's URL; write sqlite:////absolute/path/orchestrator.db or postgresql+psycopg://user@host/name.")
    return address


def _open_sqlite(address: sa.URL, migrate: bool, read_only: bool) -> DatabaseStore:
    file = Path(address.database or "").absolute()
    where, migrate = str(file), migrate and not read_only
    with telling(where):
        sqlite.check_file(file, may_make=migrate)
        sqlite.check_content(file, whole=migrate)
        reader, writer = sqlite.engine(file, begin="BEGIN", writes=False), sqlite.engine(file, begin="BEGIN IMMEDIATE", writes=not read_only)
        store = _ready(DatabaseStore(reader, writer, where), reader, writer, where, file, migrate)
        if migrate:
            sqlite.keep_journal(writer)
            with suppress(OSError):  # another user's file stays as it is
                os.chmod(file, 0o600)
        return store


def _open_postgres(address: sa.URL, migrate: bool, read_only: bool) -> DatabaseStore:
    where = address.render_as_string(hide_password=True)
    try:
        base = sa.create_engine(address, paramstyle="format", pool_size=8, max_overflow=_ENDLESS, pool_pre_ping=True, hide_parameters=True)
    except ModuleNotFoundError as err:
        raise StoreUnavailable(f"The database {where} needs a driver that is not installed: pip install 'orchestrator[postgres]'") from err
    reader = base.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    writer = base.execution_options(postgresql_readonly=True) if read_only else base
    with telling(where):
        return _ready(DatabaseStore(reader, writer, where), reader, writer, where, None, migrate and not read_only)


def _ready(store: DatabaseStore, reader: sa.Engine, writer: sa.Engine, where: str, file: Path | None, migrate: bool) -> DatabaseStore:
    try:
        with reader.connect() as connection:
            stored = stored_revision(connection, where)
        if must_upgrade(stored, where, may=migrate):
            upgrade(writer, where, file)
    except BaseException:
        store.close()
        raise
    return store
