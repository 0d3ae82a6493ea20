"""SQL Server over pymssql. Imported where a connection is made, and in no other place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pymssql

from orchestrator_plugins.jdbc import client  # noqa: F401 - loaded once with it for all that are forked
from orchestrator_plugins.jdbc.driver import Driver
from orchestrator_plugins.jdbc.statements import Dialect

PATIENCE = 10  # seconds for a connection, where the address says nothing else
NO_HOST = (20009, 20002, 20013)  # of the library below: no server there, none that answers, no such host


class MsSql(Driver):
    """One database, by the library's parameters."""

    kind: ClassVar[str] = "SQL Server"
    url: ClassVar[str] = "mssql+pymssql://"
    dialect: ClassVar[Dialect] = Dialect(identifiers="[", nested_comments=True, blocks=True)
    begins: ClassVar[str] = "BEGIN TRANSACTION"
    begins_steadily: ClassVar[tuple[str, ...]] = ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "BEGIN TRANSACTION")
    commits: ClassVar[str] = "COMMIT TRANSACTION"

    def __init__(self, parts: Mapping[str, Any]) -> None:
        self._parts = parts

    def connect(self) -> Any:
        return pymssql.connect(**{"login_timeout": PATIENCE, "appname": "orchestrator", **self._parts}, charset="UTF-8", autocommit=True)

    def interrupt(self, connection: Any) -> None:
        """Nothing: its process is killed next, and the server ends what a connection that breaks was at."""

    def place(self) -> str:
        parts = self._parts
        user = f"user '{parts['user']}'" if "user" in parts else "the worker's own user"
        return f"database '{parts.get('database', '')}' at {parts['server']}:{parts['port']} as {user}"

    def is_unreachable(self, err: BaseException) -> bool:
        return isinstance(err, pymssql.OperationalError) and any(f"({number}, " in str(err) for number in NO_HOST)

    def told(self, err: BaseException) -> str:
        number, words = _told(err)
        return f"{words} (error {number})" if number else super().told(err)


def _told(err: BaseException) -> tuple[int, str]:
    """The server's number and words: the library gives them as a pair, or a pair within one."""
    found: Any = err.args
    while isinstance(found, tuple) and len(found) == 1:
        found = found[0]
    if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], bytes | str):
        words = found[1].decode("utf-8", "replace") if isinstance(found[1], bytes) else found[1]
        return int(found[0]), words.split("DB-Lib error message", 1)[0].strip() or words.strip()
    return 0, ""
