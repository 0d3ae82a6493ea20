"""MySQL and MariaDB over PyMySQL. Imported where a connection is made, and in no other place."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import pymysql
from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions, convert_datetime

from orchestrator_plugins.jdbc import client  # noqa: F401 - loaded once with it for all that are forked
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.mysql import SslMode
from orchestrator_plugins.jdbc.statements import Dialect

PATIENCE = 10  # seconds for a connection, where the address says nothing else
CANCELLING = 1  # seconds for the server to take a cancel: soon after the process is killed
NO_HOST = frozenset({2002, 2003, 2005})  # no server has answered
SESSION = "SET time_zone = '+00:00'"  # else moments would be told in the zone of the server's machine


class MySql(Driver):
    """One database, by the library's parameters."""

    kind: ClassVar[str] = "MySQL"
    url: ClassVar[str] = "mysql+pymysql://"
    dialect: ClassVar[Dialect] = Dialect(identifiers="`", backslashes=True, hashes=True)
    has_cursors: ClassVar[bool] = True
    # A snapshot would not do: what changes rows sees newer ones than what reads.
    begins_steadily: ClassVar[tuple[str, ...]] = ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN")

    def __init__(self, parts: Mapping[str, Any], mode: SslMode) -> None:
        self._parts, self._mode = parts, mode

    def connect(self) -> pymysql.Connection[Any]:
        return self._connection(connect_timeout=self._parts.get("connect_timeout", PATIENCE))

    def _connection(self, *, connect_timeout: int) -> pymysql.Connection[Any]:
        own: dict[str, Any] = {"charset": "utf8mb4", "autocommit": True, "init_command": SESSION, "conv": _READERS, "program_name": "orchestrator"}
        return pymysql.Connection(**{**self._parts, "connect_timeout": connect_timeout, **_protection(self._mode), **own})

    def interrupt(self, connection: pymysql.Connection[Any]) -> None:
        with self._connection(connect_timeout=CANCELLING) as other, other.cursor() as cursor:
            cursor.execute("KILL QUERY %s", (connection.thread_id(),))  # type: ignore[no-untyped-call]

    def place(self) -> str:
        parts = self._parts
        where = f"the socket {parts['unix_socket']}" if "unix_socket" in parts else f"{parts['host']}:{parts['port']}"
        user = f"user '{parts['user']}'" if "user" in parts else "the worker's own user"
        return f"database '{parts.get('database') or ''}' at {where} as {user}"

    def is_unreachable(self, err: BaseException) -> bool:
        return isinstance(err, pymysql.err.OperationalError) and bool(err.args) and err.args[0] in NO_HOST

    def told(self, err: BaseException) -> str:
        if isinstance(err, pymysql.MySQLError) and len(err.args) > 1:
            return f"{err.args[1]} (error {err.args[0]})"
        return super().told(err)


def _protection(mode: SslMode) -> Mapping[str, Any]:
    match mode:
        case SslMode.DISABLED:
            return {"ssl_disabled": True}
        case SslMode.PREFERRED:
            return {}
    context = ssl.create_default_context()
    context.check_hostname = mode is SslMode.VERIFY_IDENTITY
    if mode is SslMode.REQUIRED:
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _timestamp(text: str) -> Any:
    """A TIMESTAMP is a moment; what is none (`0000-00-00`) stays text."""
    found = convert_datetime(text)
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else found


def _json(text: str | bytes) -> Any:
    return json.loads(text)


# Times may have more hours than a day, or be negative: as MySQL writes them.
_READERS: Mapping[Any, Any] = {**conversions, FIELD_TYPE.TIMESTAMP: _timestamp, FIELD_TYPE.TIME: str, FIELD_TYPE.JSON: _json}
