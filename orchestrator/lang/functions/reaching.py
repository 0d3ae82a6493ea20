"""Functions that reach outside: secrets, keys, files, error logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.errors import ExpressionFailed
from orchestrator.lang.functions.catalogue import Rendering, Table, entry
from orchestrator.lang.functions.faults import NeedsServices
from orchestrator.lang.functions.printing import to_text
from orchestrator.lang.functions.services import MISSING, ExpressionServices

REACHING_FUNCTIONS: Table = {}
_SCHEME = "kestra://"


def _services(rendering: Rendering, name: str) -> ExpressionServices:
    if rendering.services is None:
        raise NeedsServices(f"The '{name}' function cannot be evaluated here")
    return rendering.services


def _namespace(rendering: Rendering, name: str) -> str:
    flow = rendering.variable("flow")
    if not isinstance(flow, Mapping) or not flow.get("namespace"):
        raise ExpressionFailed(f"The '{name}' function needs the variable flow.namespace")
    return to_text(flow["namespace"])


def _text(name: str, argument: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ExpressionFailed(f"The '{name}' function expects an argument '{argument}' that is a text.")
    return value


@entry(REACHING_FUNCTIONS, "secret", parameters=("key",), required=1, scoped=True)
def secret(rendering: Rendering, key: Any) -> str:
    """A secret of the flow's namespace."""
    return _services(rendering, "secret").secret(_namespace(rendering, "secret"), _text("secret", "key", key))


@entry(REACHING_FUNCTIONS, "kv", parameters=("key", "namespace", "errorOnMissing"), required=1, scoped=True)
def kv(rendering: Rendering, key: Any, namespace: Any = None, error_on_missing: Any = None) -> Any:
    """A value of the key-value store; null when there is none, or an error when `errorOnMissing`."""
    name, place = _text("kv", "key", key), _namespace(rendering, "kv") if namespace is None else to_text(namespace)
    found = _services(rendering, "kv").kv(place, name)
    if found is not MISSING:
        return found
    if error_on_missing is True:
        raise ExpressionFailed(f"The key '{name}' does not exist in the namespace '{place}'.")
    return None


@entry(REACHING_FUNCTIONS, "read", parameters=("path",), required=1, scoped=True)
def read(rendering: Rendering, path: Any) -> str:
    """The text of a namespace file, or of a file of this execution or of the one that triggered it."""
    name = _allowed(rendering, _text("read", "path", path))
    return _services(rendering, "read").read(name, rendering.variables())


@entry(REACHING_FUNCTIONS, "fileSize", parameters=("path",), required=1, scoped=True)
def file_size(rendering: Rendering, path: Any) -> int:
    """The bytes of a file, found as by `read`."""
    name = _allowed(rendering, _text("fileSize", "path", path))
    return _services(rendering, "fileSize").file_size(name, rendering.variables())


@entry(REACHING_FUNCTIONS, "fileExists", parameters=("path",), required=1, scoped=True)
def file_exists(rendering: Rendering, path: Any) -> bool:
    """Whether there is a file that `read` would find."""
    name = _allowed(rendering, _text("fileExists", "path", path))
    return _services(rendering, "fileExists").file_exists(name, rendering.variables())


@entry(REACHING_FUNCTIONS, "isFileEmpty", "fileEmpty", parameters=("path",), required=1, scoped=True)
def is_file_empty(rendering: Rendering, path: Any) -> bool:
    """Whether a file has no bytes, found as by `read`."""
    name = _allowed(rendering, _text("isFileEmpty", "path", path))
    return _services(rendering, "isFileEmpty").file_size(name, rendering.variables()) == 0


@entry(REACHING_FUNCTIONS, "errorLogs", scoped=True)
def error_logs(rendering: Rendering) -> list[dict[str, Any]]:
    """The execution's ERROR logs."""
    return _services(rendering, "errorLogs").error_logs(rendering.variables())


@entry(REACHING_FUNCTIONS, "fileURI", parameters=("path",), required=1, scoped=True)
def file_uri(rendering: Rendering, path: Any) -> str:
    """The internal-storage URI of a namespace file."""
    name = _text("fileURI", "path", path)
    if ".." in re.split(r"[/\\]", name):
        raise ExpressionFailed("Path must not contain '../'")
    return f"{_SCHEME}/{_namespace(rendering, 'fileURI').replace('.', '/')}/_files/{name.lstrip('/')}"


def _allowed(rendering: Rendering, path: str) -> str:
    """The path itself, when this execution may read it. Raises ExpressionFailed otherwise."""
    if ".." in re.split(r"[/\\]|%2f|%5c", path.replace("%2e", ".").replace("%2E", "."), flags=re.IGNORECASE):
        raise ExpressionFailed("Path must not contain '../'")
    if "://" in path or path.startswith("kestra:"):
        rest = path.removeprefix(_SCHEME)
        if rest == path or not any(rest.startswith(folder) for folder in _folders(rendering)):
            raise ExpressionFailed(f"Unable to read the file '{path}' as it didn't belong to the current execution")
    return path


def _folders(rendering: Rendering) -> list[str]:
    """The folders of internal storage that this execution may read: its own, its trigger's, and its namespace's files."""
    flow, execution, trigger = (_map(rendering.variable(name)) for name in ("flow", "execution", "trigger"))
    found = [f"/{to_text(flow['namespace']).replace('.', '/')}/_files/"] if flow.get("namespace") else []
    for namespace, flow_id, run in (
        (flow.get("namespace"), flow.get("id"), execution.get("id")),
        (trigger.get("namespace"), trigger.get("flowId"), trigger.get("executionId")),
    ):
        if namespace and flow_id and run:
            folder = to_text(namespace).replace(".", "/")
            found += [f"/{folder}/{name}/executions/{to_text(run)}/" for name in (to_text(flow_id), to_text(flow_id).lower().replace("_", "-"))]
    return found


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
