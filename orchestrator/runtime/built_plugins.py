"""Plugins from what their users wrote, kept as long as the same text comes again."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from orchestrator import registry
from orchestrator.errors import NotFound, OrchestratorError, TaskFailed
from orchestrator.lang.source import parse_yaml
from orchestrator.model.values import Json
from orchestrator.sdk import AnyTask, Task, Trigger, Workspace

MOST = 1000

Load = Callable[[str, str], type[Any]]


class BuiltTasks:
    """The models of tasks and triggers built last, by the JSON of their spec. Models are frozen, so runs share them."""

    def __init__(self, load: Load = registry.load) -> None:
        self._load = load
        self._built: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def task(self, spec: Mapping[str, Json]) -> Task | Workspace:
        """The task, or workspace, of a spec. Raises TaskFailed when it is not installed here or does not fit its schema."""
        task = self._known("task", spec)
        if not isinstance(task, Task | Workspace):
            raise TaskFailed(f"{spec.get('type')} is not a task that a worker can run")
        return task

    def trigger(self, spec: Mapping[str, Json]) -> Trigger:
        """The trigger of a spec. Raises TaskFailed as `task` does."""
        trigger: Trigger = self._known("trigger", spec)
        return trigger

    def _known(self, kind: str, spec: Mapping[str, Json]) -> Any:
        key = (kind, json.dumps(spec, separators=(",", ":")))
        with self._lock:
            found = self._built.get(key)
            if found is not None:
                self._built.move_to_end(key)
                return found
        built = self._build(kind, spec)
        with self._lock:
            self._built[key] = built
            if len(self._built) > MOST:
                self._built.popitem(last=False)
        return built

    def _build(self, kind: str, spec: Mapping[str, Json]) -> Any:
        try:
            return self._load(kind, str(spec.get("type"))).model_validate(spec)
        except NotFound as err:
            raise TaskFailed(f"{err}: it is not installed on this worker") from err
        except ModuleNotFoundError as err:
            raise TaskFailed(f"{spec.get('type')} needs the Python package `{err.name}`, which is not installed on this worker") from err
        except ValidationError as err:
            raise TaskFailed(told(err)) from err


def described_task(source: str, task_id: str, load: Load = registry.load) -> AnyTask:
    """The task, or flowable, that YAML text describes. Raises TaskFailed."""
    try:
        spec = parse_yaml(source)
        if not isinstance(spec, Mapping):
            raise TaskFailed("a task is described by a map with a `type`")
        task: AnyTask = load("task", str(spec.get("type"))).model_validate({**spec, "id": task_id})
    except ValidationError as err:
        raise TaskFailed(told(err)) from err
    except (OrchestratorError, ValueError) as err:
        raise TaskFailed(f"the described task cannot be read: {err}") from err
    return task


def told(err: ValidationError) -> str:
    """The mistakes in one line: where and what."""
    return "; ".join(": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in err.errors(include_url=False))
