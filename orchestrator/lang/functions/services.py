"""The I/O behind an expression: secrets, the key-value store, files and logs, behind one narrow port."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from orchestrator.errors import ExpressionFailed


class Missing:
    """The answer of `kv` for a key that is not there (null is a value)."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class ExpressionServices(Protocol):
    """What expressions read from outside. Calls may block; all raise ExpressionFailed with a message for the flow's author."""

    def secret(self, namespace: str, key: str) -> str:
        """The secret's text. The implementation notes it for masking. Raises when there is none."""

    def kv(self, namespace: str, key: str) -> Any:
        """The key's value as it was stored, typed, or MISSING."""

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        """The text of a namespace file (relative `path`) or of an internal-storage file whose URI was already found to be this run's to read."""

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        """Bytes of a file, `path` as for `read`."""

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        """Whether there is a file, `path` as for `read`."""

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The ERROR log lines of the execution, oldest first."""


class NoServices:
    """Services of a place where an expression may read nothing: every call says so."""

    def secret(self, namespace: str, key: str) -> str:
        raise _not_here("secret")

    def kv(self, namespace: str, key: str) -> Any:
        raise _not_here("kv")

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        raise _not_here("read")

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        raise _not_here("fileSize")

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        raise _not_here("fileExists")

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        raise _not_here("errorLogs")


def _not_here(name: str) -> ExpressionFailed:
    return ExpressionFailed(f"The '{name}' function is not available here")
