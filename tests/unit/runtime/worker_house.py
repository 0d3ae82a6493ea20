"""A worker in this process with tasks of the tests' own, and everything it reports in a list one can wait on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestrator import registry
from orchestrator.runtime.built_plugins import BuiltTasks
from orchestrator.runtime.local_services import LocalServices
from orchestrator.runtime.worker import Worker
from orchestrator.sdk import Task, TaskRunner, Trigger

PATIENCE = 20.0  # seconds


class Executor:
    """Takes reports; `away` makes it refuse them."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.away = False
        self.tries = 0
        self._change = threading.Condition()

    def send(self, text: str) -> None:
        batch = json.loads(text)
        with self._change:
            self.tries += 1
            self._change.notify_all()
            if self.away:
                raise ConnectionError("the executor is away")
            self.batches.append(batch)
            self.reports += batch

    def until(self, holds: Callable[[], Any]) -> Any:
        """Wait for something that reports bring about."""
        with self._change:
            found = self._change.wait_for(holds, PATIENCE)
        assert found, f"it did not come; reported so far: {self.reports[-5:]}"
        return found

    def of(self, kind: str, run: str | None = None) -> list[dict[str, Any]]:
        return [one for one in self.reports if one["kind"] == kind and (run is None or one["task_run_id"] == run)]

    def outcome(self, run: str = "r1") -> dict[str, Any]:
        outcomes: list[dict[str, Any]] = self.until(lambda: self.of("outcome", run))
        return outcomes[-1]

    def lines(self, run: str = "r1") -> list[tuple[str, str]]:
        return [(line["level"], line["message"]) for said in self.of("said", run) for line in said["lines"]]

    def offsets(self, run: str = "r1") -> list[int]:
        return [line["offset"] for said in self.of("said", run) for line in said["lines"]]


def dispatch(spec: Mapping[str, Any], run: str = "r1", **facts: Any) -> str:
    """A dispatch's JSON."""
    about = {
        "task_run_id": run,
        "execution_id": "e1",
        "namespace": "acme.team",
        "flow_id": "flow",
        "flow_revision": 1,
        "task_id": "work",
        "lease": 1,
        "generation": 0,
    }
    return json.dumps({**about, "spec": {"id": "work", **spec}, **facts})


class House:
    """A worker (or supervisor) and its executor."""

    def __init__(
        self,
        base: Path,
        tasks: Mapping[str, type[Task]] | None = None,
        runners: Mapping[str, type[TaskRunner]] | None = None,
        kind: type[Worker] = Worker,
        triggers: Mapping[str, type[Trigger]] | None = None,
        **more: Any,
    ) -> None:
        self.executor, self.services = Executor(), LocalServices()
        own: dict[tuple[str, str], type[Any]] = {("task", name): kind for name, kind in (tasks or {}).items()}
        own |= {("trigger", name): kind for name, kind in (triggers or {}).items()}
        built = BuiltTasks(lambda family, name: own.get((family, name)) or registry.load(family, name))
        given = {"name": "worker", "slots": 4, "services": lambda dispatch: self.services, "installation": "test", **more}
        self.worker = kind(send=self.executor.send, base=base, tasks=built, **given)

    def run(self, spec: Mapping[str, Any], run: str = "r1", **facts: Any) -> None:
        self.worker.run(dispatch(spec, run, **facts))

    def stop(self, run: str = "r1", lease: int = 1, cause: str = "KILLED") -> None:
        self.worker.stop(json.dumps([{"task_run_id": run, "execution_id": "e1", "lease": lease, "cause": cause}]))

    def until_idle(self) -> None:
        """Wait until nothing is held any more."""
        deadline = time.monotonic() + PATIENCE
        while not self.worker.idle():
            assert time.monotonic() < deadline
            threading.Event().wait(0.005)

    def held(self) -> list[tuple[str, int]]:
        return [(one["task_run_id"], one["lease"]) for one in json.loads(self.worker.inventory())["held"]]
