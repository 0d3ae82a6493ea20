"""Where a file of the internal storage belongs: `kestra:///<namespace path>/<flow>/executions/<id>/<path>`."""

from __future__ import annotations

import re

from orchestrator.model.values import Frozen

SCHEME = "kestra://"
_SHAPE = re.compile(r"^kestra:///(?P<above>.+?)/executions/(?P<id>[^/]+)(?P<path>/.+)$", re.DOTALL)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class FileUri(Frozen):
    """A file of an execution. `path` begins with `/` and is the `path` of its StoredFile, whose owner is the execution."""

    namespace: str
    flow_id: str
    execution_id: str
    path: str

    def __str__(self) -> str:
        return f"{SCHEME}/{self.namespace.replace('.', '/')}/{self.flow_id}/executions/{self.execution_id}{self.path}"

    @classmethod
    def parse(cls, text: str) -> FileUri:
        """The parts of a URI. Raises ValueError for any other text, and for one that climbs (`..`)."""
        found = _SHAPE.match(text)
        if found is None or ".." in found["path"].split("/") or "/" not in found["above"]:
            raise ValueError(f"`{text}` is not the URI of an execution's file")
        folder, _, flow_id = found["above"].rpartition("/")
        return cls(namespace=folder.replace("/", "."), flow_id=flow_id, execution_id=found["id"], path=found["path"])


def input_path(input_id: str, name: str) -> str:
    """The path of a file given for an input."""
    return f"/inputs/{safe_name(input_id)}/{safe_name(name)}"


def task_path(task_id: str, task_run_id: str, name: str) -> str:
    """The path of a file that a task run keeps."""
    return f"/tasks/{slug(task_id)}/{task_run_id}/{safe_name(name)}"


def safe_name(name: str) -> str:
    """A user's file name as one harmless path segment that still can be told; `file` when nothing is left."""
    kept = _UNSAFE.sub("_", name.replace("\\", "/").rsplit("/", 1)[-1]).lstrip(".")[-200:]
    return kept or "file"


def slug(name: str) -> str:
    """A task's id as URIs of its files have it: `Each_Split` is `each-split`."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "task"
