"""What an expression rendered for a caller may read: keys and files, and of secrets only that they are there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import ExpressionFailed, NotFound
from orchestrator.lang.expressions import MISSING
from orchestrator.model.file_uri import SCHEME, FileUri
from orchestrator.model.log import Level
from orchestrator.server.parts import Parts
from orchestrator.store.port import LogFilter, StoredFile

MASKED = "******"


class Lookups:
    """ExpressionServices over the server's parts. Blocking: render on a thread. A secret is masked before any filter sees it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def secret(self, namespace: str, key: str) -> str:
        if self._parts.settings.secret(key) is None:
            raise ExpressionFailed(f"Cannot find secret for key '{key}'.")
        return MASKED

    def kv(self, namespace: str, key: str) -> Any:
        found = self._parts.reader.key(namespace, key)
        if found is None or (found.expires is not None and found.expires <= datetime.now(UTC)):
            return MISSING
        return found.value

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        try:
            with self._parts.blobs.open(self._file(path, context).blob) as file:
                return file.read().decode("utf-8", "replace")
        except NotFound as err:
            raise ExpressionFailed(f"The file '{path}' does not exist.") from err

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        return self._file(path, context).size

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        return self._found(path, context) is not None

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        execution_id = str(_inner(context, "execution", "id"))
        return error_logs(self._parts, execution_id)

    def _file(self, path: str, context: Mapping[str, Any]) -> StoredFile:
        found = self._found(path, context)
        if found is None:
            raise ExpressionFailed(f"The file '{path}' does not exist.")
        return found

    def _found(self, path: str, context: Mapping[str, Any]) -> StoredFile | None:
        if path.startswith(SCHEME):
            try:
                uri = FileUri.parse(path)
            except ValueError as err:
                raise ExpressionFailed(str(err)) from err
            found = self._parts.reader.file("execution", uri.execution_id, uri.path)
        else:
            found = self._parts.reader.file("namespace", str(_inner(context, "flow", "namespace")), "/" + path.lstrip("/"))
        return None if found is None or found.directory else found


def error_logs(parts: Parts, execution_id: str) -> list[dict[str, Any]]:
    """The ERROR lines of an execution, oldest first."""
    lines = parts.reader.logs(LogFilter(execution_id=execution_id, min_level=Level.ERROR))
    return [line.model_dump(mode="json", by_alias=True, exclude_none=True) for _, line in lines]


def _inner(context: Mapping[str, Any], outer: str, name: str) -> Any:
    held = context.get(outer)
    return held.get(name, "") if isinstance(held, Mapping) else ""
