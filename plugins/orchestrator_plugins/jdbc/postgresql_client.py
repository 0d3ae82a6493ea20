"""PostgreSQL over psycopg 3. Imported where a connection is made, and in no other place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types import datetime as moments
from psycopg.types.string import TextLoader

from orchestrator.sdk import Json
from orchestrator_plugins.jdbc import client  # noqa: F401 - loaded once with it for all that are forked
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.statements import Dialect

PORT = 5432
PATIENCE = 10  # seconds for a connection, where the address says nothing else
CANCELLING = 0.3  # seconds for the server to take a cancel: soon after the process is killed
VOID = 2278  # the type of functions that give nothing
AS_TEXT = ("interval", "money", "hstore", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange")


class Postgres(Driver):
    """One database, by libpq's parameters. `pems` are texts that libpq reads from files, which lie in `folder` while it connects."""

    kind: ClassVar[str] = "PostgreSQL"
    url: ClassVar[str] = "postgresql+psycopg://"
    dialect: ClassVar[Dialect] = Dialect(dollars=True, nested_comments=True, escape_strings=True)
    engine: ClassVar[Mapping[str, Any]] = {"use_native_hstore": False}  # else each connection asks for its type
    has_cursors: ClassVar[bool] = True
    begins_steadily: ClassVar[tuple[str, ...]] = ("BEGIN ISOLATION LEVEL REPEATABLE READ",)

    def __init__(self, parts: Mapping[str, str], pems: Mapping[str, str], folder: Callable[[], Path], *, zone: str | None, say: Callable[[str], None]) -> None:
        self._parts, self._pems, self._folder, self._zone, self._say = parts, pems, folder, zone, say

    def connect(self) -> psycopg.Connection[Any]:
        # A cursor's rows are all read here: they need not be planned to come early. Intervals come as ISO-8601.
        session = {"cursor_tuple_fraction": "1", "intervalstyle": "iso_8601", **({"timezone": self._zone} if self._zone else {})}
        options = " ".join((self._parts.get("options", ""), *(f"-c {name}={value}" for name, value in session.items()))).strip()
        with self._files() as files:
            told: dict[str, Any] = {"connect_timeout": PATIENCE, "application_name": "orchestrator", **self._parts, **files, "options": options}
            connection = psycopg.connect(**told, autocommit=True, prepare_threshold=None, client_encoding="utf8")
        connection.add_notice_handler(lambda notice: self._say(f"{notice.severity}: {notice.message_primary}"))
        _adapt(connection)
        return connection

    @contextmanager
    def _files(self) -> Iterator[Mapping[str, str]]:
        """The files of the texts, for this user only."""
        if not self._pems:
            yield {}
            return
        with tempfile.TemporaryDirectory(dir=self._folder(), prefix=".between-") as folder:
            for name, text in self._pems.items():
                with open(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                    file.write(text)
            yield {name: f"{folder}/{name}" for name in self._pems}

    def interrupt(self, connection: psycopg.Connection[Any]) -> None:
        connection.cancel_safe(timeout=CANCELLING)

    def place(self) -> str:
        parts = self._parts
        hosts, ports = parts.get("host", "localhost").split(","), parts.get("port", str(PORT)).split(",")
        shown = [
            f"the socket in {host} for port {port}" if host.startswith("/") else f"{host}:{port}" for host, port in zip(hosts, ports * len(hosts), strict=False)
        ]
        user = f"user '{parts['user']}'" if "user" in parts else "the worker's own user"
        return f"database '{parts.get('dbname') or parts.get('user', '')}' at {', '.join(shown)} as {user}"

    def is_unreachable(self, err: BaseException) -> bool:
        return isinstance(err, psycopg.OperationalError) and not any(word in str(err) for word in ("FATAL:", "SSL", "certificate"))

    def told(self, err: BaseException) -> str:
        state = f" (SQLSTATE {err.sqlstate})" if isinstance(err, psycopg.Error) and err.sqlstate else ""
        return super().told(err) + state

    def bindable(self, value: Json) -> Any:
        return list(value) if isinstance(value, list | tuple) else super().bindable(value)


def _adapt(connection: psycopg.Connection[Any]) -> None:
    """Have values come as JSON can hold them best; moments that Python cannot hold (`infinity`, year 20000) come as text."""
    for name, kind in (("date", _Date), ("timestamp", _Timestamp), ("timestamptz", _Timestamptz), ("time", _Time), ("timetz", _Timetz)):
        connection.adapters.register_loader(name, kind)
    for name in AS_TEXT:
        if connection.adapters.types.get(name) is not None:
            connection.adapters.register_loader(name, TextLoader)
    connection.adapters.register_loader(VOID, _Void)


class _Void(Loader):
    def load(self, data: Buffer) -> None:
        return None


class _Date(moments.DateLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


class _Timestamp(moments.TimestampLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


class _Timestamptz(moments.TimestamptzLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


class _Time(moments.TimeLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


class _Timetz(moments.TimetzLoader):
    def load(self, data: Buffer) -> Any:
        return _or_text(super().load, data)


def _or_text(load: Callable[[Buffer], Any], data: Buffer) -> Any:
    try:
        return load(data)
    except psycopg.DataError:
        return bytes(data).decode()
