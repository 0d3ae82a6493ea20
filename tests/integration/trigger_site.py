"""A server with workers of a group of its own, for triggers; whose processes can be told apart and killed."""

from __future__ import annotations

import base64
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

from orchestrator.runtime import ray_processes
from tests.integration.local_server import LocalServer, eventually, joined_worker, local_server, mark_of_node

LOOKOUTS = Path(__file__).resolve().parents[1] / "lookouts"
ON_PATH = f"PYTHONPATH={LOOKOUTS}"
GROUP = "edge"
SECRET = {"SECRET_DOOR": base64.b64encode(b"open sesame").decode()}
_NO_WORKER = ("ray::ExecutorActor", "ray::ApiActor", "ray::DashboardAgent", "ray::RuntimeEnvAgent", "ray::IDLE", "ray::SupervisorActor")


class TriggerSite:
    """`server` and what a test of triggers asks of it."""

    def __init__(self, server: LocalServer) -> None:
        self.server = server

    # --- workers

    def workers(self) -> dict[str, str]:
        """The live workers of the group: the mark of each one's node, by its name."""
        told = self.server.call("GET", "/api/v1/workers")["workers"]
        return {worker["name"]: mark_of_node(worker["nodeId"]) for worker in told if worker.get("group") == GROUP and worker["state"] == "up"}

    def process_of(self, worker: str) -> psutil.Process:
        """The process of a worker of the group."""
        titles = {process: _title(process) for process in ray_processes.marked(self.workers()[worker])}
        found = [process for process, title in titles.items() if title.startswith("ray::") and not title.startswith(_NO_WORKER)]
        assert len(found) == 1, [title[:80] for title in titles.values()]
        return found[0]

    def kill(self, worker: str) -> float:
        """SIGKILL to a worker; when that was."""
        process = self.process_of(worker)
        process.send_signal(signal.SIGKILL)
        at = time.time()
        process.wait(5)
        return at

    def until_two(self) -> None:
        eventually(lambda: len(self.workers()) == 2, within=60, what="two workers of the group are up")

    # --- triggers

    def save(self, name: str, trigger: str, *, inputs: str = "") -> None:
        source = f"id: {name}\nnamespace: watched\n{inputs}\ntasks:\n  - {{id: a, type: io.kestra.plugin.core.debug.Return, format: '{{{{ trigger }}}}'}}\n"
        self.server.flow(f"{source}triggers:\n  - id: t\n    workerGroup: {{key: {GROUP}}}\n{trigger}")

    def state(self, name: str) -> dict[str, Any]:
        found = self.server.call("GET", f"/api/v1/triggers/watched/{name}")["results"]
        return dict(found[0])

    def evaluated_by(self, name: str) -> str | None:
        return self.state(name).get("workerId")

    def executions(self, name: str) -> list[dict[str, Any]]:
        found = self.server.call("GET", f"/api/v1/executions?namespace=watched&flowId={name}&size=1000")
        return list(found["results"])

    def variables(self, name: str, word: str) -> list[Any]:
        """That variable of the trigger of every execution, oldest first."""
        return [execution["trigger"]["variables"][word] for execution in reversed(self.executions(name))]

    def lines(self, name: str) -> list[str]:
        found = self.server.call("GET", f"/api/v1/logs/search?namespace=watched&flowId={name}&triggerId=t&size=1000")
        return [line["message"] for line in found["results"]]

    def delete(self, name: str) -> None:
        self.server.call("DELETE", f"/api/v1/flows/watched/{name}")


class Folder:
    """What a test trigger looks into: files steer it, its diary tells what it did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()

    def put(self, name: str, text: str = "") -> None:
        draft = self.path / f".{name}"
        draft.write_text(text)
        draft.replace(self.path / name)

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def read(self, name: str) -> str:
        return (self.path / name).read_text() if self.has(name) else ""

    def take(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def diary(self) -> list[tuple[float, str, int, str]]:
        """(when, begin or end, process, evaluation)."""
        lines = [line.split() for line in self.read("log").splitlines()]
        return [(float(at), word, int(pid), mark) for at, word, pid, mark in lines]

    def begins(self) -> list[tuple[float, int]]:
        return [(at, pid) for at, word, pid, _ in self.diary() if word == "begin"]

    def most_at_once(self, killed: dict[int, float]) -> int:
        """The most evaluations at the same time; those of killed processes ended when these were."""
        ends = {mark: at for at, word, _, mark in self.diary() if word == "end"}
        spans = [(at, ends.get(mark, killed.get(pid, time.time()))) for at, word, pid, mark in self.diary() if word == "begin"]
        return max((sum(begun <= at < ended for begun, ended in spans) for at, _ in spans), default=0)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def trigger_site(folder: Path) -> Iterator[TriggerSite]:
    """A server and two workers of the group."""
    with ExitStack() as stack:
        site = TriggerSite(stack.enter_context(local_server(folder, environ={"PYTHONPATH": str(LOOKOUTS), **SECRET})))
        for number in (1, 2):
            (folder / f"w{number}").mkdir()
            stack.enter_context(joined_worker(site.server, GROUP, folder / f"w{number}", wrap=("env", ON_PATH)))
        site.until_two()
        yield site
