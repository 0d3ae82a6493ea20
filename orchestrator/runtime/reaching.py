"""What a run's expressions read from outside, and the secrets it has come to know, which are masked in all it says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed, NotFound, OrchestratorError
from orchestrator.lang.expressions import MISSING, Masker
from orchestrator.model.file_uri import SCHEME
from orchestrator.runtime.services import Services

LARGEST_READ = 16 << 20  # bytes of a file that a template may hold


class Known:
    """The secrets a run has seen. Safe in threads."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._masker: Masker | None = None
        self._lock = threading.Lock()

    def add(self, *texts: str) -> None:
        with self._lock:
            self._values.update(text for text in texts if text)
            self._masker = None

    def mask(self, text: str) -> str:
        """The text with every secret seen so far taken out."""
        if not self._values:
            return text
        with self._lock:
            self._masker = self._masker or Masker(self._values)
            masker = self._masker
        return masker(text)

    def holds(self, text: str) -> bool:
        """Whether a secret seen so far stands in the text, as it is or in one of the forms that are masked."""
        return self.mask(text) != text

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(self._values)


class RunExpressions:
    """ExpressionServices of one run, over its Services."""

    def __init__(self, services: Services, known: Known) -> None:
        self._services, self._known = services, known

    def secret(self, namespace: str, key: str) -> str:
        try:
            text = self._services.secret(namespace, key)
        except NotFound as err:
            raise ExpressionFailed(f"Cannot find secret for key '{key}'.") from err
        except OrchestratorError as err:
            raise ExpressionFailed(f"secret('{key}') cannot be read: {err}") from err
        self._known.add(text)
        return text

    def kv(self, namespace: str, key: str) -> Any:
        try:
            return self._services.keys.get(namespace, key)
        except NotFound:
            return MISSING
        except OrchestratorError as err:
            raise ExpressionFailed(f"kv('{key}') cannot be read: {err}") from err

    def read(self, path: str, context: Mapping[str, Any]) -> str:
        try:
            with self._services.files.open(self._uri(path, context)) as file:
                data = file.read(LARGEST_READ + 1)
        except OrchestratorError as err:
            raise ExpressionFailed(f"read('{path}') failed: {err}") from err
        if len(data) > LARGEST_READ:
            raise ExpressionFailed(f"read('{path}'): the file is larger than {LARGEST_READ >> 20} MiB")
        return data.decode(errors="replace")

    def file_size(self, path: str, context: Mapping[str, Any]) -> int:
        try:
            return self._services.files.size(self._uri(path, context))
        except OrchestratorError as err:
            raise ExpressionFailed(f"fileSize('{path}') failed: {err}") from err

    def file_exists(self, path: str, context: Mapping[str, Any]) -> bool:
        try:
            self._services.files.size(self._uri(path, context))
        except NotFound:
            return False
        except OrchestratorError as err:
            raise ExpressionFailed(f"fileExists('{path}') failed: {err}") from err
        return True

    def error_logs(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            return self._services.error_logs()
        except OrchestratorError as err:
            raise ExpressionFailed(f"errorLogs() failed: {err}") from err

    @staticmethod
    def _uri(path: str, context: Mapping[str, Any]) -> str:
        """A namespace file's path as the URI that names it in the internal storage."""
        if path.startswith(SCHEME):
            return path
        namespace = str(context.get("flow", {}).get("namespace", ""))
        return f"{SCHEME}/{namespace.replace('.', '/')}/_files/{path.lstrip('/')}"
