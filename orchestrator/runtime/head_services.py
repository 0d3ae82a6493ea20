"""What expressions rendered on the head read: straight from the store and the server's settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.errors import BadSettings, ExpressionFailed
from orchestrator.lang.expressions import MISSING
from orchestrator.model.file_uri import SCHEME, FileUri
from orchestrator.model.log import Level
from orchestrator.settings import Settings
from orchestrator.store.blobs import Blobs
from orchestrator.store.port import LogFilter, Reader, StoredFile


class HeadServices:
    """The ExpressionServices of executor and server. Blocking: call it on a thread."""

    def __init__(self, reader: Reader, blobs: Blobs, settings: Settings) -> None:
        self._reader, self._blobs, self._settings = reader, blobs, settings

    def secret(self, namespace: str, key: str) -> str:
        try:
            text = self._settings.secret(key)
        except BadSettings as err:
            raise ExpressionFailed(str(err)) from err
        if text is None:
            raise ExpressionFailed(f"Cannot find secret for key '{key}'.")
        return text

    def kv(self, namespace: str, key: str) -> Any:
        found = self._reader.key(namespace, key)
        if found is None or (found.expires is not None and found.expires <= datetime.now(UTC)):
            return MISSING
        return found.value

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        with self._blobs.open(self._file(path, context).blob) as file:
            return file.read().decode("utf-8", "replace")

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        return self._file(path, context).size

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        return self._found(path, context) is not None

    def _file(self, path: str, context: Mapping[str, Any]) -> StoredFile:
        found = self._found(path, context)
        if found is None:
            raise ExpressionFailed(f"The file '{path}' does not exist.")
        return found

    def _found(self, path: str, context: Mapping[str, Any]) -> StoredFile | None:
        if path.startswith(SCHEME):
            uri = FileUri.parse(path)
            found = self._reader.file("execution", uri.execution_id, uri.path)
        else:
            namespace = str(context.get("flow", {}).get("namespace", ""))
            found = self._reader.file("namespace", namespace, "/" + path.lstrip("/"))
        return None if found is None or found.directory else found

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        execution_id = str(context.get("execution", {}).get("id", ""))
        lines = self._reader.logs(LogFilter(execution_id=execution_id, min_level=Level.ERROR))
        return [line.model_dump(mode="json", by_alias=True, exclude_none=True) for _, line in lines]
